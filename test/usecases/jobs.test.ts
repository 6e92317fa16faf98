import { expect, test } from 'vitest';
import { completeJob } from '../../src/domain/job.ts';
import { getJob } from '../../src/usecases/get-job.ts';
import { listJobs } from '../../src/usecases/list-jobs.ts';
import { MAX_QUEUED_JOBS, submitJob } from '../../src/usecases/submit-job.ts';
import { context } from '../support/broker/core.ts';
import { refusal, refused } from '../support/broker/csp-core.ts';
import { CLEANUP, jobOf, openJobs, PURGE, SYNC, startQueue } from '../support/broker/jobs.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';

async function start(endpoint: string) {
  const queue = await startQueue(endpoint);
  let waiting = 0;
  return {
    queue,
    announced: () => waiting,
    setLength: (length: number) => {
      waiting = length;
    },
    submit: submitJob({
      jobs: queue.jobs,
      queueLength: () => waiting,
      announce: () => {
        waiting++;
      },
    }),
    list: listJobs({ jobs: queue.reads }),
    get: getJob({ jobs: queue.reads }),
  };
}

describeOnFastEngine('jobs', ({ endpoint }) => {
  test('a job keeps who submitted it, and is announced once it is stored', async () => {
    const { queue, submit, announced } = await start(endpoint);
    const asked = context('admin');
    const job = await submit(PURGE, asked);
    const { actor, requestId, correlationId } = asked;
    expect(await jobOf(queue, job.id)).toMatchObject({
      status: 'pending',
      request: PURGE,
      submitter: { actor, requestId, correlationId },
    });
    expect(announced()).toBe(1);
  });

  test('a full queue takes no more, and says when to come back', async () => {
    const { queue, submit, setLength } = await start(endpoint);
    setLength(MAX_QUEUED_JOBS - 1);
    await submit(SYNC, context('admin'));
    expect(await refusal(submit(SYNC, context('admin')))).toMatchObject({
      code: 'BUSY',
      retryAfterSeconds: 30,
    });
    expect(await openJobs(queue)).toHaveLength(1);
  });

  test('an unknown job and a forgotten one are not found', async () => {
    const { queue, submit, get } = await start(endpoint);
    const { id } = await submit(SYNC, context('admin'));
    expect(await get(id, context('admin'))).toMatchObject({ id });
    const [open] = await openJobs(queue);
    const running = open && (await queue.jobs.claim(open, { worker: 'replica-1', leaseMs: 1 }));
    if (!running) throw new Error('not claimed');
    await queue.jobs.settle(
      running,
      completeJob(running, { counts: {}, durationMs: 1 }, queue.clock.nowMs()),
    );
    queue.clock.advanceSeconds(8 * 86_400);
    expect(await refused(get(id, context('admin')))).toBe('JOB_NOT_FOUND');
    expect(await refused(get('job-1', context('admin')))).toBe('JOB_NOT_FOUND');
  });

  test('a walk through the list meets every job once, also while more are submitted', async () => {
    const { submit, list } = await start(endpoint);
    const ids: string[] = [];
    for (let number = 0; number < 5; number++) ids.push((await submit(SYNC, context('admin'))).id);
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await list({ limit: 2, cursor }, context('admin'));
      found.push(...page.jobs.map((job) => job.id));
      cursor = page.cursor;
      await submit(CLEANUP, context('admin'));
    } while (cursor !== undefined);
    expect(found).toEqual(ids.toReversed());
  });

  test('a cursor of another query, or of nobody, is refused', async () => {
    const { submit, list } = await start(endpoint);
    for (let number = 0; number < 3; number++) await submit(SYNC, context('admin'));
    const { cursor } = await list({ type: 'sync', limit: 1 }, context('admin'));
    expect(cursor).toBeDefined();
    const forged = Buffer.from('{"list":"jobs","last":"job-1","extra":1}').toString('base64url');
    const sandboxes = Buffer.from('{"version":1,"bucket":0}').toString('base64url');
    for (const query of [
      { cursor },
      { cursor, type: 'cleanup' as const },
      { cursor, type: 'sync' as const, status: 'pending' as const },
      { cursor: 'nonsense' },
      { cursor: forged },
      { cursor: sandboxes },
    ]) {
      expect(await refused(list({ limit: 1, ...query }, context('admin')))).toBe('INVALID_CURSOR');
    }
  });
});
