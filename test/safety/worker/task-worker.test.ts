import { describe, expect, onTestFinished, test } from 'vitest';
import { createTaskWorker, type DatabaseChoice, openSandboxDatabase } from '../../../src/safety/index.ts';
import { uniqueTable } from '../../support/broker/core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { until } from '../../support/until.ts';

/** What every backing has to keep. */
function worksOff(choice: () => DatabaseChoice): void {
  async function start(maxWorkers = 2) {
    const database = await openSandboxDatabase(choice());
    const begun: number[] = [];
    const gates = new Map<number, PromiseWithResolvers<void>>();
    const worker = createTaskWorker({
      tasks: {
        count: async ({ number }: { number: number }, { signal }) => {
          signal.throwIfAborted();
          begun.push(number);
          const gate = Promise.withResolvers<void>();
          gates.set(number, gate);
          await gate.promise;
          return { number };
        },
        break: async () => {
          throw new TypeError('it is broken');
        },
      },
      maxWorkers,
      intervalMs: 50,
      queue: database.queue,
    });
    onTestFinished(async () => {
      for (const gate of gates.values()) gate.resolve();
      await worker.stop();
      await database.cleanup();
    });
    const ended = (id: string) =>
      until(
        async () => {
          const job = await worker.get(id);
          return job !== undefined && 'endedAtMs' in job && job;
        },
        { what: `${id} ended` },
      );
    return { worker, begun, gates, ended };
  }

  test('runs jobs of one type in their order, as many at once as there are workers', async () => {
    const { worker, begun, gates, ended } = await start();
    const jobs = [
      await worker.submit('count', { number: 1 }),
      await worker.submit('count', { number: 2 }),
      await worker.submit('count', { number: 3 }),
    ];
    expect(jobs.map(({ status }) => status)).toEqual(['pending', 'pending', 'pending']);
    worker.start();
    await until(() => begun.length === 2, { what: '2 runs began' });
    expect(begun).toEqual([1, 2]);
    gates.get(1)?.resolve();
    await until(() => begun.length === 3, { what: '3 runs began' });
    gates.get(2)?.resolve();
    gates.get(3)?.resolve();
    for (const [index, job] of jobs.entries()) {
      expect(await ended(job.id)).toMatchObject({ status: 'completed', result: { number: index + 1 } });
    }
    expect((await worker.list({ type: 'count', limit: 2 })).jobs.map(({ id }) => id)).toEqual(
      jobs
        .map(({ id }) => id)
        .reverse()
        .slice(0, 2),
    );
    await expect.poll(() => worker.completedJobs()).toBe(3);
  });

  test('keeps the error of a job that failed, and refuses a name that is no task', async () => {
    const { worker, ended } = await start();
    const { id } = await worker.submit('break', undefined);
    worker.start();
    expect(await ended(id)).toMatchObject({
      status: 'failed',
      error: { code: 'TypeError', message: 'it is broken' },
    });
    // @ts-expect-error There is no such task.
    await expect(worker.submit('toString', {})).rejects.toThrow(RangeError);
    // @ts-expect-error It is another input.
    await worker.submit('count', { name: 'x' });
    expect(await worker.get('job-none')).toBeUndefined();
  });

  test('puts back what is under way when it stops, and goes on with it', async () => {
    const { worker, begun, gates, ended } = await start();
    const { id } = await worker.submit('count', { number: 1 });
    worker.start();
    await until(() => begun.length === 1, { what: '1 runs began' });
    const stopping = worker.stop();
    gates.get(1)?.resolve();
    await stopping;
    expect(await worker.get(id)).toMatchObject({ status: 'pending', attempts: 0 });
    worker.start();
    await until(() => begun.length === 2, { what: '2 runs began' });
    gates.get(1)?.resolve();
    expect(await ended(id)).toMatchObject({ status: 'completed' });
  });
}

describe('a worker of tasks in memory', () => worksOff(() => 'memory'));
describeOnFastEngine('a worker of tasks', ({ endpoint }) =>
  worksOff(() => ({ kind: 'endpoint', url: endpoint, table: uniqueTable() })),
);
