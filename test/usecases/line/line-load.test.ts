import { expect, onTestFinished, test } from 'vitest';
import { context, LINE, startCore } from '../../support/broker/core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { injectFaults } from '../../support/store/injected-faults.ts';
import { Line } from './line-callers.ts';

const CALLERS = 100;

describeOnFastEngine('a line under load', ({ endpoint }) => {
  test('who goes on asking costs no reads of its own, and everybody together two in a second at the most', async () => {
    const core = await startCore(endpoint, { poolSize: 1, buckets: 2 });
    onTestFinished(() => core.close());
    const { calls } = injectFaults(core.client);
    const line = new Line(core);
    await line.take('ada');
    const ask = (seconds: number) =>
      Promise.all(Array.from({ length: CALLERS }, (_, n) => line.join(`waits-${n}`, { seconds })));
    await ask(1);
    await core.work.tendLine(context());
    const readsBefore = calls.length;
    const startedMs = performance.now();
    await ask(1);
    await core.work.tendLine(context());
    await ask(1);
    const seconds = (performance.now() - startedMs) / 1000;
    const reads = calls.slice(readsBefore).filter(({ operation }) => operation !== 'TransactWriteItems');
    expect(reads.length / seconds, reads.map(({ operation }) => operation).join()).toBeLessThanOrEqual(2);
  });

  test('a line that was full takes others when it is not any more', async () => {
    const core = await startCore(endpoint, { poolSize: 1, buckets: 2, line: { ...LINE, maxPlaces: 2 } });
    onTestFinished(() => core.close());
    const line = new Line(core);
    const only = await line.take('ada');
    await line.join('bob');
    await line.join('cyd');
    await expect(line.join('dan')).rejects.toMatchObject({ code: 'LINE_FULL' });
    const elsewhere = await core.replica({ provider: core.provider });
    onTestFinished(() => elsewhere.close());
    await new Line(elsewhere).giveBack('ada', only);
    await expect.poll(() => line.join('dan'), { timeout: 5_000 }).toMatchObject({ position: 2 });
  });
});
