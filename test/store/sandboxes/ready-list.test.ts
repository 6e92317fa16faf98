import { expect, onTestFinished, test, vi } from 'vitest';
import { bucketOf, bucketPk } from '../../../src/store/sandboxes/keys.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { holdAnswers } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { addSandbox, imagined, start } from './ready-list-steps.ts';

describeOnFastEngine('the ready list', ({ endpoint }) => {
  test('gives each hint to one caller, and has none when all are out', async () => {
    const { list } = await start(endpoint, 3);
    await list.refresh();
    const ids = [list.take(), list.take(), list.take()].map((hint) => hint?.id);
    expect(ids.sort()).toEqual(['sim-0001', 'sim-0002', 'sim-0003']);
    expect(list.take()).toBeUndefined();
    await list.refresh();
    expect(list.take()).toBeUndefined();
  });

  test('offers a hint again that was given back', async () => {
    const { list } = await start(endpoint, 1);
    await list.refresh();
    const hint = list.take();
    list.giveBack(hint!);
    expect(list.size).toBe(1);
    expect(list.take()).toEqual(hint);
  });

  test('offers a sandbox again that was tried without a result, once it was read again', async () => {
    const { list } = await start(endpoint, 1);
    await list.refresh();
    const hint = list.take();
    list.settle(hint!, 'open');
    expect(list.take()).toBeUndefined();
    await list.sweep();
    expect(list.take()).toEqual(hint);
  });

  test('forgets the hints of a bucket that somebody else took one from, and no others', async () => {
    const { core, list } = await start(endpoint, 0, { buckets: 2 });
    const ids = Array.from({ length: 20 }, (_, i) => `lab-${i}`);
    for (const id of ids) await addSandbox(core, id);
    await list.refresh();
    const lost = list.take()!;
    list.settle(lost, 'lost');
    const left = Array.from({ length: list.size }, () => list.take()!.id);
    const isElsewhere = (id: string) => bucketOf(id, 2) !== bucketOf(lost.id, 2);
    expect(left.sort()).toEqual(ids.filter(isElsewhere).sort());
    for (const id of left) list.giveBack(imagined(id));
    await list.refresh();
    expect(list.size).toBe(19);
  });

  test('takes hints by the beginning of their names, and leaves the others where they are', async () => {
    const { core, list } = await start(endpoint, 0);
    for (const id of ['alpha-1', 'alpha-2', 'beta-1']) await addSandbox(core, id);
    await list.refresh();
    expect(list.take('beta')?.id).toBe('beta-1');
    expect(list.take('beta')).toBeUndefined();
    expect(list.take('alpha-2')?.id).toBe('alpha-2');
    expect(list.take('')?.id).toBe('alpha-1');
  });

  test('forgets with a refresh what other replicas have taken', async () => {
    const { core, list } = await start(endpoint, 2);
    await list.refresh();
    const [taken] = (await core.reads.all({ bucket: 0 })).sandboxes;
    await core.client.delete({ Key: { pk: bucketPk(0), sk: `S#${taken?.id}` } });
    await list.refresh();
    expect(list.size).toBe(1);
    expect(list.take()?.id).not.toBe(taken?.id);
  });

  test.for(['refresh', 'sweep'] as const)(
    'does not bring a spent generation back by an older read: a %s',
    async (reading) => {
      const { list, faults } = await start(endpoint, 1);
      await list.refresh();
      const old = holdAnswers();
      faults.next('Query', old.fault);
      const read = list[reading]();
      await until(() => old.waiting === 1, { what: 'the read is under way' });
      const hint = list.take();
      list.settle(hint!, 'won');
      old.release();
      await read;
      expect(list.take()).toBeUndefined();
    },
  );

  test('knows nothing of a table that was made anew: the same ids and generations are others', async () => {
    const { list } = await start(endpoint, 1);
    await list.refresh();
    const hint = list.take()!;
    list.settle(hint, 'won');
    await list.sweep();
    expect(list.take()).toBeUndefined();
    list.forget();
    await list.sweep();
    expect(list.take()).toEqual(hint);
  });

  test('offers a sandbox again in a newer generation, however soon', async () => {
    const { core, list } = await start(endpoint, 1);
    await list.refresh();
    const hint = list.take()!;
    list.settle(hint, 'won');
    const recycled = { ...hint, generation: hint.generation + 3 };
    expect(await core.store.write({ seen: hint, next: recycled })).toBe(true);
    await list.sweep();
    expect(list.take()).toEqual(recycled);
  });

  test('remembers nothing for ever, however many sandboxes and names come by', async () => {
    const { list } = await start(endpoint, 0);
    const sweeps = Array.from({ length: 50 }, (_, i) => list.sweep(`name-${i}`));
    expect(list.remembered).toBe(50);
    await Promise.all(sweeps);
    expect(list.remembered).toBe(0);

    let aheadMs = 0;
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + aheadMs);
    onTestFinished(() => clock.mockRestore());
    let most = 0;
    for (let i = 0; i < 30_000; i++) {
      list.giveBack(imagined(`imagined-${i}`));
      list.settle(list.take()!, 'won');
      most = Math.max(most, list.remembered);
      aheadMs += 10;
    }
    // What was spent in the last 15 s, at one every 10 ms.
    expect(most).toBeLessThanOrEqual(1_501);
    expect(list.size).toBe(0);
  });
});
