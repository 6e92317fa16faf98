import { expect, test } from 'vitest';
import { CLEANUP, jobOf, SYNC, startQueue } from '../../support/broker/jobs.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { atOnce, heldWork, RESULT, startWorker } from './worker-steps.ts';

describeOnFastEngine('the worker', ({ endpoint }) => {
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

  test('can be told to start and to stop as often as one likes', async () => {
    const queue = await startQueue(endpoint);
    const { worker, submit, ended } = startWorker(queue, atOnce);
    worker.start();
    await Promise.all([worker.stop(), worker.stop()]);
    const id = await submit();
    worker.start();
    expect(await ended(id)).toMatchObject({ status: 'completed', attempts: 1 });
  });
});
