import { expect, onTestFinished, test } from 'vitest';
import { replicaKey } from '../../../src/store/sandboxes/keys.ts';
import { context, startCore } from '../../support/broker/core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { freeBesideLine, Line } from './line-callers.ts';

describeOnFastEngine('a line beside a replica that knows of none', ({ endpoint }) => {
  async function start(poolSize: number) {
    const core = await startCore(endpoint, { poolSize, buckets: 2 });
    onTestFinished(() => core.close());
    const line = new Line(core);
    const taken = await Promise.all(
      Array.from({ length: poolSize }, (_, index) => line.ask(`holder-${index}`)),
    );
    return { core, line, taken: taken.map(({ lease }) => lease) };
  }

  test('what it frees goes to who waits, each to whom it fits, at the next look', async () => {
    const { core, line, taken } = await start(6);
    const wanted = ['lab-0002', 'lab-0005'];
    for (const name of wanted) await line.join(name, { namePrefix: name });
    // Its first look goes through the pool by itself.
    await core.work.tendLine(context());
    for (const { sandboxId } of taken) await freeBesideLine(core, sandboxId);
    await core.client.put({ Item: { ...replicaKey('older'), beat_at_ms: core.clock.nowMs() } });
    await core.register.beat(new AbortController().signal);
    await core.work.tendLine(context());
    for (const name of wanted) {
      expect(await line.wait(name, { namePrefix: name })).toMatchObject({ lease: { name } });
    }
    expect(await core.work.count(new AbortController().signal)).toMatchObject({ counts: { available: 4 } });
  });

  test('who gets what it freed without waiting has no place any more, and keeps nobody behind it', async () => {
    const { core, line, taken } = await start(2);
    const [first, second] = taken.map(({ sandboxId }) => sandboxId) as [string, string];
    await line.join('bob');
    await line.join('cyd');
    await freeBesideLine(core, first);
    expect((await line.ask('bob')).lease.sandboxId).toBe(first);
    await line.giveBack('holder-1', second);
    expect(await line.wait('cyd')).toMatchObject({ lease: { sandboxId: second } });
    expect((await core.lineView.look('whole')).places).toEqual([]);
  });
});
