import { expect, test } from 'vitest';
import { createHeartbeat } from '../../../src/safety/heartbeat/heartbeat.ts';
import { currentCorrelation } from '../../../src/telemetry/correlation.ts';
import { CLEANUP, EXPIRE, jobOf, openJobs, SUBMITTER, SYNC, startQueue } from '../../support/broker/jobs.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { injectFaults } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { atOnce, heldWork, RESULT, startWorker } from './worker-steps.ts';

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
      { intervalMs: 20, maxWorkers: 1, heartbeat },
    );
    await until(() => heartbeat.totalBeats >= 3, { what: 'idle looks are signs of life' });
    const id = await submit();
    await until(async () => (await jobOf(queue, id)).status === 'running', { what: 'it runs' });
    const reading = injectFaults(queue.client).calls;
    const looksOn = async () => {
      const wanted = reading.length + 6;
      await until(() => reading.length >= wanted, { what: 'it looks on' });
    };
    // The look that was under way when the work began may give a sign of its own.
    await looksOn();
    const beats = heartbeat.totalBeats;
    await looksOn();
    expect(heartbeat.totalBeats).toBe(beats);
    progress();
    expect(heartbeat.totalBeats).toBe(beats + 1);
    resolve();
    await ended(id);
    await until(() => heartbeat.totalBeats > beats + 2, { what: 'looks are signs of life again' });
  });

  test.each([
    ['intervalMs', { intervalMs: 0 }],
    ['maxWorkers', { maxWorkers: 0 }],
  ])('refuses a useless %s', async (name, options) => {
    const queue = await startQueue(endpoint);
    expect(() => startWorker(queue, atOnce, options)).toThrow(new RegExp(name));
  });
});
