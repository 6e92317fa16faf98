import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { BrokerError } from '../../src/domain/errors.ts';
import type { JobRequest, JobResult } from '../../src/domain/job.ts';
import { createHeartbeat } from '../../src/loops/heartbeat.ts';
import type { DoJob } from '../../src/loops/run-job.ts';
import { createWorker, type JobReport, type Worker, type WorkerDeps } from '../../src/loops/worker.ts';
import { currentCorrelation, runWithCorrelation } from '../../src/telemetry/correlation.ts';
import type { Alert } from '../../src/usecases/alert.ts';
import { describeOnFastEngine } from '../support/engines.ts';
import { failWith, injectFaults, timedOut } from '../support/injected-faults.ts';
import {
  CLEANUP,
  EXPIRE,
  jobOf,
  openJobs,
  PURGE,
  type Queue,
  SUBMITTER,
  SYNC,
  startQueue,
} from '../support/jobs.ts';
import { until } from '../support/until.ts';

const RESULT: JobResult = { counts: { created: 1 }, durationMs: 3 };
/** Longer than any test: what happens within a test was not found by looking now and then. */
const NEVER_MS = 600_000;

/** Work that a test holds in its hands: every run waits until the test lets it end. */
function heldWork() {
  const runs: { request: JobRequest; id: string; signal: AbortSignal; end: (error?: unknown) => void }[] = [];
  const work: DoJob = (request, { requestId, signal }) => {
    const { promise, resolve, reject } = Promise.withResolvers<JobResult>();
    // Real work ends its step and then says why it went no further.
    signal.addEventListener('abort', () => reject(signal.reason));
    const end = (error?: unknown) => (error === undefined ? resolve(RESULT) : reject(error));
    runs.push({ request, id: requestId, signal, end });
    return promise;
  };
  const begun = (count: number) =>
    until(() => runs.length >= count && runs[count - 1], { what: `${count} runs began` });
  return { work, runs, begun };
}

/** A worker on a queue, started, and what it told. */
function startWorker(queue: Queue, work: DoJob, options: Partial<WorkerDeps> = {}) {
  const reports: JobReport[] = [];
  const errors: unknown[] = [];
  const alerts: Alert[] = [];
  const delays: number[] = [];
  const lengths: number[] = [];
  const worker: Worker = createWorker({
    jobs: queue.jobs,
    reads: queue.reads,
    work,
    clock: queue.clock,
    replicaId: randomUUID(),
    heartbeat: createHeartbeat(),
    maxWorkers: 2,
    intervalMs: NEVER_MS,
    report: (report) => reports.push(report),
    onStart: (_type, delayMs) => delays.push(delayMs),
    onQueueLength: (pending) => lengths.push(pending),
    onError: (error) => errors.push(error),
    alert: (alert) => alerts.push(alert),
    correlate: (ids, run) => runWithCorrelation(ids, run),
    ...options,
  });
  worker.start();
  onTestFinished(() => worker.stop());
  const submit = async (request: JobRequest = SYNC) => {
    const job = await queue.jobs.submit(request, SUBMITTER);
    worker.announce();
    return job.id;
  };
  const ended = (id: string) =>
    until(async () => 'endedAtMs' in (await jobOf(queue, id)) && (await jobOf(queue, id)), {
      what: `${id} ended`,
    });
  return { worker, reports, errors, alerts, delays, lengths, submit, ended };
}

const atOnce: DoJob = async () => RESULT;

describeOnFastEngine('the worker', ({ endpoint }) => {
  test('begins a submitted job at once and keeps its result', async () => {
    const queue = await startQueue(endpoint);
    const { submit, ended, delays, reports } = startWorker(queue, atOnce);
    const id = await submit();
    expect(await ended(id)).toMatchObject({ status: 'completed', result: RESULT, attempts: 1 });
    expect(delays).toEqual([0]);
    expect(reports.map(({ outcome }) => outcome)).toEqual(['completed']);
  });

  test('drains a backlog without waiting, in the order of submission', async () => {
    const queue = await startQueue(endpoint);
    const order: string[] = [];
    const ids: string[] = [];
    for (let number = 0; number < 12; number++) ids.push((await queue.jobs.submit(SYNC, SUBMITTER)).id);
    const { ended, worker } = startWorker(queue, async (_request, { requestId }) => {
      order.push(requestId);
      return RESULT;
    });
    await ended(ids.at(-1) ?? '');
    expect(order).toEqual(ids);
    await until(() => worker.completedJobs() === 12, { what: 'all are counted' });
    expect(worker.queueLength()).toBe(0);
  });

  test('runs two at once and no more, and one of a type', async () => {
    const queue = await startQueue(endpoint);
    const { work, runs, begun } = heldWork();
    const { submit, ended } = startWorker(queue, work);
    const first = await submit(SYNC);
    const second = await submit(SYNC);
    const third = await submit(CLEANUP);
    const fourth = await submit(EXPIRE);
    await begun(2);
    expect(runs.map(({ id }) => id)).toEqual([first, third]);
    expect((await openJobs(queue)).map(({ status }) => status)).toEqual([
      'running',
      'running',
      'pending',
      'pending',
    ]);
    runs[1]?.end();
    expect(await begun(3)).toMatchObject({ id: fourth });
    runs[0]?.end();
    expect(await begun(4)).toMatchObject({ id: second });
    for (const run of runs) run.end();
    for (const id of [first, second, third, fourth]) await ended(id);
  });

  test('a job that throws fails alone', async () => {
    const queue = await startQueue(endpoint);
    const { submit, ended, reports } = startWorker(queue, async ({ type }) => {
      if (type === 'sync') throw new TypeError('a secret of the inside');
      if (type === 'cleanup')
        throw new BrokerError('PROVIDER_UNAVAILABLE', 'The provider could not be asked.');
      return RESULT;
    });
    const [unexpected, refused, sound] = [await submit(SYNC), await submit(CLEANUP), await submit(EXPIRE)];
    expect(await ended(unexpected)).toMatchObject({
      status: 'failed',
      error: { code: 'INTERNAL', message: 'Something went wrong inside the broker.' },
    });
    expect(await ended(refused)).toMatchObject({
      error: { code: 'PROVIDER_UNAVAILABLE', message: 'The provider could not be asked.' },
    });
    expect(await ended(sound)).toMatchObject({ status: 'completed' });
    const report = reports.find(({ job }) => job.id === unexpected);
    expect(report?.error).toBeInstanceOf(TypeError);
  });

  test('a run that is refused because another is under way is no failure: the job waits and tries again', async () => {
    const queue = await startQueue(endpoint);
    let refusals = 3;
    const { submit, ended, reports, worker } = startWorker(queue, async ({ type }) => {
      if (type === 'sync' && refusals-- > 0) throw new BrokerError('ALREADY_RUNNING', 'Under way.');
      return RESULT;
    });
    const waiting = await submit(SYNC);
    const behind = await submit(SYNC);
    const other = await submit(PURGE);
    // One that waits holds up nobody else's work, and is not overtaken by its own kind.
    await ended(other);
    for (const seconds of [0.25, 0.5, 1]) {
      await until(() => reports.filter(({ outcome }) => outcome === 'postponed').length >= 1, {
        what: 'it was postponed',
      });
      expect(await jobOf(queue, behind)).toMatchObject({ status: 'pending', attempts: 0 });
      reports.splice(0);
      queue.clock.advanceSeconds(seconds);
      worker.announce();
    }
    expect(await ended(waiting)).toMatchObject({ status: 'completed', attempts: 1, waits: 3 });
    await ended(behind);
  });

  test('the work runs under the correlation of whoever submitted it, and under the id of the job', async () => {
    const queue = await startQueue(endpoint);
    const seen: unknown[] = [];
    const { submit, ended } = startWorker(queue, async (_request, { actor, requestId, correlationId }) => {
      seen.push({ actor, requestId, correlationId }, currentCorrelation());
      return RESULT;
    });
    const id = await submit();
    await ended(id);
    const ids = { requestId: id, correlationId: SUBMITTER.correlationId };
    expect(seen).toEqual([{ actor: 'admin', ...ids }, expect.objectContaining(ids)]);
  });

  test('told to stop, it ends the step, puts the job back for another replica at once, and takes no more', async () => {
    const queue = await startQueue(endpoint);
    const { work, begun } = heldWork();
    const { worker, submit, reports } = startWorker(queue, work);
    const id = await submit(SYNC);
    await begun(1);
    const next = await submit(SYNC);
    await worker.stop();
    expect(reports.map(({ outcome }) => outcome)).toEqual(['interrupted']);
    expect(await jobOf(queue, id)).toMatchObject({ status: 'pending', attempts: 0, waits: 0 });
    // The clock has not moved: no lease had to lapse.
    const other = startWorker(queue.replica(), atOnce);
    expect(await other.ended(id)).toMatchObject({ status: 'completed', attempts: 1 });
    await other.ended(next);
    // How long the first one waited for its first run was told already.
    expect(other.delays).toHaveLength(1);
  });

  test('work that returns early when it is told to stop is not taken for done', async () => {
    const queue = await startQueue(endpoint);
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const { worker, submit } = startWorker(queue, (_request, { signal }) => {
      resolve();
      return new Promise((done) => signal.addEventListener('abort', () => done(RESULT)));
    });
    const id = await submit(CLEANUP);
    await begun;
    await worker.stop();
    expect(await jobOf(queue, id)).toMatchObject({ status: 'pending' });
  });

  test('a replica finds by itself what another one was told of', async () => {
    const queue = await startQueue(endpoint);
    const { ended } = startWorker(queue.replica(), atOnce, { intervalMs: 50 });
    const { id } = await queue.jobs.submit(SYNC, SUBMITTER);
    expect(await ended(id)).toMatchObject({ status: 'completed' });
  });

  test('many replicas run each job once', async () => {
    const queue = await startQueue(endpoint);
    const runs: string[] = [];
    const work: DoJob = async (_request, { requestId }) => {
      runs.push(requestId);
      await delay(1);
      return RESULT;
    };
    const ids: string[] = [];
    for (let number = 0; number < 20; number++) {
      for (const request of [SYNC, CLEANUP]) ids.push((await queue.jobs.submit(request, SUBMITTER)).id);
    }
    const workers = Array.from({ length: 4 }, () => startWorker(queue.replica(), work, { intervalMs: 20 }));
    for (const id of ids) await workers[0]?.ended(id);
    expect(runs.toSorted()).toEqual(ids);
    expect((await queue.reads.totals()).completed).toBe(40);
  });

  test('what a replica left behind is finished by another, once the claim is over', async () => {
    const queue = await startQueue(endpoint);
    const { id } = await queue.jobs.submit(SYNC, SUBMITTER);
    const [job] = await openJobs(queue);
    if (!job) throw new Error('the queue is empty');
    expect(await queue.jobs.claim(job, { worker: 'gone', leaseMs: 30_000 })).toBeDefined();

    const heartbeat = createHeartbeat();
    const { ended, reports } = startWorker(queue.replica(), atOnce, { intervalMs: 20, heartbeat });
    await until(() => heartbeat.totalBeats >= 3, { what: 'it has looked, again and again' });
    expect(reports).toEqual([]);
    queue.clock.advanceSeconds(31);
    expect(await ended(id)).toMatchObject({ status: 'completed', attempts: 2 });
  });

  test('a job whose workers never come back is given up, with an alert, and the next one runs', async () => {
    const queue = await startQueue(endpoint);
    const poisoned = (await queue.jobs.submit(SYNC, SUBMITTER)).id;
    for (let crash = 1; crash <= 3; crash++) {
      const [job] = await openJobs(queue);
      if (!job) throw new Error('the queue is empty');
      expect(await queue.jobs.claim(job, { worker: `gone-${crash}`, leaseMs: 30_000 })).toBeDefined();
      queue.clock.advanceSeconds(31);
    }
    const sound = (await queue.jobs.submit(SYNC, SUBMITTER)).id;
    const runs: string[] = [];
    const { ended, alerts } = startWorker(queue.replica(), async (_request, { requestId }) => {
      runs.push(requestId);
      return RESULT;
    });
    expect(await ended(poisoned)).toMatchObject({
      status: 'failed',
      attempts: 3,
      error: { code: 'ABANDONED' },
    });
    await ended(sound);
    expect(runs).toEqual([sound]);
    expect(alerts).toEqual([
      {
        task: 'worker',
        reason: 'job_abandoned',
        severity: 'error',
        context: { job_id: poisoned, type: 'sync' },
      },
    ]);
  });

  test('a worker whose claim was taken over leaves the job to the other', async () => {
    const queue = await startQueue(endpoint);
    const { work, begun, runs } = heldWork();
    const late = startWorker(queue, work);
    const id = await late.submit();
    await begun(1);
    queue.clock.advanceSeconds(31);
    const taker = startWorker(queue.replica(), atOnce);
    const completed = await taker.ended(id);
    runs[0]?.end(new Error('too late'));
    await until(() => late.reports.length > 0, { what: 'the late one noticed' });
    expect(late.reports.map(({ outcome }) => outcome)).toEqual(['lost']);
    expect(await jobOf(queue, id)).toEqual(completed);
  });

  test('a worker does not begin a second time what it is still at, though its claim has lapsed', async () => {
    const queue = await startQueue(endpoint);
    const { work, begun, runs } = heldWork();
    const heartbeat = createHeartbeat();
    const { submit, ended } = startWorker(queue, work, { intervalMs: 20, heartbeat });
    const id = await submit();
    await begun(1);
    queue.clock.advanceSeconds(31);
    const beats = heartbeat.totalBeats;
    await until(() => heartbeat.totalBeats > beats + 3, { what: 'it has looked again' });
    expect(runs).toHaveLength(1);
    runs[0]?.end();
    expect(await ended(id)).toMatchObject({ status: 'completed', attempts: 1 });
  });

  test('a store that is away stops nothing for good', async () => {
    const queue = await startQueue(endpoint);
    const faults = injectFaults(queue.client);
    faults.next('Query', failWith(timedOut), { times: 8 });
    const { submit, ended, errors } = startWorker(queue, atOnce, { intervalMs: 50 });
    const id = await submit();
    expect(await ended(id)).toMatchObject({ status: 'completed' });
    expect(errors.length).toBeGreaterThan(0);
  });

  test('an end that cannot be written is no end: the job is run again', async () => {
    const queue = await startQueue(endpoint);
    const faults = injectFaults(queue.client);
    faults.next('TransactWriteItems', failWith(timedOut), { times: 4 });
    const { submit, ended, errors } = startWorker(queue, atOnce, { intervalMs: 20 });
    const id = await submit();
    await until(() => errors.length > 0, { what: 'the end was not written' });
    expect(await jobOf(queue, id)).toMatchObject({ status: 'running' });
    queue.clock.advanceSeconds(31);
    expect(await ended(id)).toMatchObject({ status: 'completed', attempts: 2 });
  });

  test('knows how many jobs wait, and how many were ever completed, whoever did it', async () => {
    const queue = await startQueue(endpoint);
    const done = startWorker(queue, atOnce);
    await done.ended(await done.submit());
    await done.worker.stop();
    for (const request of [SYNC, SYNC, SYNC]) await queue.jobs.submit(request, SUBMITTER);
    const { work, begun } = heldWork();
    const { worker, submit, lengths } = startWorker(queue.replica(), work);
    await begun(1);
    expect([worker.queueLength(), worker.completedJobs()]).toEqual([2, 1]);
    await submit();
    expect(worker.queueLength()).toBe(3);
    expect(lengths.at(-1)).toBe(3);
  });

  test('with every hand full it gives a sign of life only when the work does', async () => {
    const INTERVAL_MS = 20;
    const queue = await startQueue(endpoint);
    const { promise: release, resolve } = Promise.withResolvers<void>();
    let progress = (): void => undefined;
    const heartbeat = createHeartbeat();
    const { submit, ended } = startWorker(
      queue,
      async (_request, _context, onProgress) => {
        progress = onProgress;
        await release;
        return RESULT;
      },
      { intervalMs: INTERVAL_MS, maxWorkers: 1, heartbeat },
    );
    await until(() => heartbeat.totalBeats >= 3, { what: 'idle looks are signs of life' });
    const id = await submit();
    await until(async () => (await jobOf(queue, id)).status === 'running', { what: 'it runs' });
    let beats = 0;
    const isSilent = async () => {
      beats = heartbeat.totalBeats;
      await delay(5 * INTERVAL_MS);
      return heartbeat.totalBeats === beats;
    };
    await until(isSilent, { what: 'five intervals without a sign of life' });
    progress();
    expect(heartbeat.totalBeats).toBe(beats + 1);
    resolve();
    await ended(id);
    await until(() => heartbeat.totalBeats > beats + 2, { what: 'looks are signs of life again' });
  });

  test('can be told to start and to stop as often as one likes', async () => {
    const queue = await startQueue(endpoint);
    const { worker, submit, ended } = startWorker(queue, atOnce);
    worker.start();
    await Promise.all([worker.stop(), worker.stop()]);
    const id = await submit();
    worker.start();
    expect(await ended(id)).toMatchObject({ status: 'completed', attempts: 1 });
  });

  test.each([
    ['intervalMs', { intervalMs: 0 }],
    ['maxWorkers', { maxWorkers: 0 }],
  ])('refuses a useless %s', async (name, options) => {
    const queue = await startQueue(endpoint);
    expect(() => startWorker(queue, atOnce, options)).toThrow(new RegExp(name));
  });
});
