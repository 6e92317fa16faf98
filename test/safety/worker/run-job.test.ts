import { afterEach, expect, test, vi } from 'vitest';
import type { JobResult, RunningJob } from '../../../src/domain/job.ts';
import { CLAIM_MS, type RunContext, runJob } from '../../../src/safety/worker/run-job.ts';
import { jobOf, type Queue, SUBMITTER, SYNC, startQueue } from '../../support/broker/jobs.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { failWith, injectFaults, timedOut } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';

const RESULT: JobResult = { counts: {}, durationMs: 1 };
const THIRD_MS = CLAIM_MS / 3;
/** A renewal is tried four times; the submission took one update. */
const CALLS_PER_RENEWAL = 4;
const SUBMIT_CALLS = 1;
const never = new AbortController().signal;

afterEach(() => {
  vi.useRealTimers();
});

/** A claimed job that is being run until the test lets it end, on timers that the test moves. */
async function startRun(queue: Queue) {
  const claimed = await queue.jobs.claim(await queue.jobs.submit(SYNC, SUBMITTER), {
    worker: 'replica-1',
    leaseMs: CLAIM_MS,
  });
  if (!claimed) throw new Error('not claimed');
  const job: RunningJob = claimed;
  // Only the renewals' own timer and clock: the store's calls go on as ever.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  const { promise: held, resolve: end } = Promise.withResolvers<JobResult>();
  let workContext: RunContext | undefined;
  const run = runJob(
    {
      jobs: queue.jobs,
      clock: queue.clock,
      onProgress: () => undefined,
      work: (_request, context) => {
        workContext = context;
        return held;
      },
    },
    job,
    never,
  );
  const isTold = () => workContext?.signal.aborted === true;
  /** Lets a third of the claim's time pass, and waits for what that sets off. */
  const passThird = async (settled: () => Promise<boolean> | boolean) => {
    queue.clock.advanceSeconds(THIRD_MS / 1000);
    vi.advanceTimersByTime(THIRD_MS);
    await until(settled, { what: 'the renewal came through' });
  };
  /** As the work asks before each of its steps. */
  const act = () => workContext?.assertHeld?.();
  return { job, run, end: () => end(RESULT), isTold, act, passThird };
}

const leaseUntil = async (queue: Queue, id: string): Promise<number> => {
  const job = await jobOf(queue, id);
  return job.status === 'running' ? job.leaseUntilMs : 0;
};

describeOnFastEngine('the claim on a job', ({ endpoint }) => {
  test('is renewed for as long as the run lasts', async () => {
    const queue = await startQueue(endpoint);
    const { job, run, end, isTold, passThird } = await startRun(queue);
    for (let third = 1; third <= 6; third++) {
      const expected = queue.clock.nowMs() + THIRD_MS + CLAIM_MS;
      await passThird(async () => (await leaseUntil(queue, job.id)) === expected);
    }
    expect(isTold()).toBe(false);
    end();
    expect(await run).toEqual({ outcome: 'completed' });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('that was taken over ends the run that had it', async () => {
    const queue = await startQueue(endpoint);
    const { job, run, end, isTold, passThird } = await startRun(queue);
    queue.clock.advanceSeconds(CLAIM_MS / 1000 + 1);
    const taken = await queue.replica().jobs.claim(job, { worker: 'replica-2', leaseMs: CLAIM_MS });
    await passThird(isTold);
    end();
    expect(await run).toEqual({ outcome: 'lost' });
    expect(await jobOf(queue, job.id)).toEqual(taken);
  });

  test('is known to be over before the next step, where a suspended machine has renewed nothing', async () => {
    const queue = await startQueue(endpoint);
    const { job, run, end, isTold, act } = await startRun(queue);
    queue.clock.advanceSeconds(CLAIM_MS / 1000 - 1);
    act();
    queue.clock.advanceSeconds(1);
    expect(act).toThrow(`the claim on ${job.id} was lost`);
    expect(isTold()).toBe(true);
    end();
    expect(await run).toEqual({ outcome: 'lost' });
  });

  test('that could not be renewed for all its time ends the run: another may have it', async () => {
    const queue = await startQueue(endpoint);
    const faults = injectFaults(queue.client);
    const { job, run, end, isTold, passThird } = await startRun(queue);
    faults.next('UpdateItem', failWith(timedOut), { times: Infinity });
    for (const third of [1, 2]) {
      await passThird(
        () =>
          faults.calls.filter((call) => call.operation === 'UpdateItem' && call.answeredAtMs).length >=
          SUBMIT_CALLS + third * CALLS_PER_RENEWAL,
      );
      expect(isTold()).toBe(false);
    }
    await passThird(isTold);
    faults.clear();
    end();
    expect(await run).toEqual({ outcome: 'lost' });
    expect(await jobOf(queue, job.id)).toMatchObject({ status: 'running' });
  });
});
