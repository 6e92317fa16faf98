import { expect, test } from 'vitest';
import { createHeartbeat } from '../../../src/safety/heartbeat/heartbeat.ts';
import type { DoJob } from '../../../src/safety/worker/run-job.ts';
import { CLEANUP, jobOf, openJobs, SUBMITTER, SYNC, startQueue } from '../../support/broker/jobs.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { until } from '../../support/until.ts';
import { atOnce, heldWork, RESULT, startWorker } from './worker-steps.ts';

describeOnFastEngine('the worker', ({ endpoint }) => {
  test('a replica finds by itself what another one was told of', async () => {
    const queue = await startQueue(endpoint);
    const { ended } = startWorker(queue.replica(), atOnce, { intervalMs: 50 });
    const { id } = await queue.jobs.submit(SYNC, SUBMITTER);
    expect(await ended(id)).toMatchObject({ status: 'completed' });
  });

  test('a replica looks seldom while nothing is open, and at once where something may be', async () => {
    const queue = await startQueue(endpoint);
    let looks = 0;
    const reads = {
      totals: queue.reads.totals,
      open(signal?: AbortSignal) {
        looks++;
        return queue.reads.open(signal);
      },
    };
    const idle = { afterMs: 0, intervalMs: 600_000 };
    const heartbeat = createHeartbeat();
    const { worker, ended } = startWorker({ ...queue, reads: { ...queue.reads, ...reads } }, atOnce, {
      intervalMs: 20,
      idle,
      heartbeat,
    });
    await until(() => heartbeat.totalBeats >= 5, { what: 'it rests, and is alive' });
    const { id } = await queue.jobs.submit(SYNC, SUBMITTER);
    const [job] = await openJobs(queue);
    if (!job) throw new Error('the queue is empty');
    await queue.jobs.claim(job, { worker: 'gone', leaseMs: 30_000 });
    expect(looks).toBe(1);

    worker.wake();
    await until(() => looks > 1, { what: 'a look' });
    queue.clock.advanceSeconds(31);
    worker.wake();
    expect(await ended(id)).toMatchObject({ status: 'completed', attempts: 2 });
  });

  test('while something is open a replica goes on looking for it', async () => {
    const queue = await startQueue(endpoint);
    const { id } = await queue.jobs.submit(SYNC, SUBMITTER);
    const [job] = await openJobs(queue);
    if (!job) throw new Error('the queue is empty');
    await queue.jobs.claim(job, { worker: 'gone', leaseMs: 30_000 });
    const idle = { afterMs: 600_000, intervalMs: 600_000 };
    const { ended } = startWorker(queue.replica(), atOnce, { intervalMs: 20, idle });
    queue.clock.advanceSeconds(31);
    expect(await ended(id)).toMatchObject({ status: 'completed', attempts: 2 });
  });

  test('many replicas run each job once', async () => {
    const queue = await startQueue(endpoint);
    const runs: string[] = [];
    const work: DoJob = async (_request, { requestId }) => {
      runs.push(requestId);
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
});
