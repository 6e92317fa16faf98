import { expect, test } from 'vitest';
import { bucketOf } from '../../../src/store/sandboxes/keys.ts';
import { createReadyList } from '../../../src/store/sandboxes/ready-list.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { holdAnswers } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { addSandbox, bucketsRead, start } from './ready-list-steps.ts';

describeOnFastEngine('the ready list', ({ endpoint }) => {
  test('does not steal while its own buckets have something, however many callers come meanwhile', async () => {
    const { core, list, faults } = await start(endpoint, 0, { buckets: 2, rank: { index: 0, replicas: 2 } });
    const ids = Array.from({ length: 120 }, (_, i) => `lab-${i}`);
    for (const id of ids) await addSandbox(core, id);
    const slow = holdAnswers();
    faults.next('Query', slow.fault);
    const first = list.sweep();
    await until(() => slow.waiting === 1, { what: 'the sweep reads' });
    const more = Array.from({ length: 30 }, () => list.sweep());
    slow.release();
    await Promise.all([first, ...more]);
    expect(bucketsRead(faults)).toEqual([0]);
    await Promise.all(Array.from({ length: 50 }, () => list.sweep()));
    expect(new Set(bucketsRead(faults))).toEqual(new Set([0]));
  });

  test("reads this replica's own buckets first, and the others only when it needs more", async () => {
    const rank = { index: 1, replicas: 4 };
    const { core, list, faults } = await start(endpoint, 0, { buckets: 8, rank });
    const ofBucket = (bucket: number): string => {
      for (let i = 0; ; i++) if (bucketOf(`${bucket}-${i}`, 8) === bucket) return `${bucket}-${i}`;
    };
    for (const bucket of [0, 1, 2, 3]) await addSandbox(core, ofBucket(bucket));
    await list.sweep();
    expect(bucketsRead(faults).sort()).toEqual([1, 5]);
    expect(list.take()?.id).toBe(ofBucket(1));
    // Its own are out now: it steals from the others, step by step, until it finds something.
    await list.sweep();
    const [own, others] = [bucketsRead(faults).slice(2, 4), bucketsRead(faults).slice(4)];
    expect(own.sort()).toEqual([1, 5]);
    expect([4, 6, 7]).toEqual(expect.arrayContaining(others.slice(0, 2)));
    expect(others.slice(2).sort()).toEqual([0, 2, 3, 4, 6, 7].filter((b) => !others.slice(0, 2).includes(b)));
    expect(list.size).toBe(3);
  });

  test('steals first what its owner would take last', async () => {
    const { core } = await start(endpoint, 0, { buckets: 4 });
    const inFirst = (id: string) => [0, 2].includes(bucketOf(id, 4));
    const ids = Array.from({ length: 300 }, (_, i) => `lab-${i}`).filter(inFirst);
    for (const id of ids) await addSandbox(core, id);
    const listOf = (index: number) =>
      createReadyList(
        core.reads,
        () => ({ index, replicas: 2 }),
        core.store.bucketPace,
        (error) => expect.fail(String(error)),
      );
    const [owner, thief] = [listOf(0), listOf(1)];
    await owner.refresh();
    await thief.sweep();
    const stolen = Array.from({ length: thief.size }, () => thief.take()!.id);
    expect(stolen.length).toBeGreaterThan(0);
    const taken = Array.from({ length: owner.size }, () => owner.take()!.id);
    expect(taken).toHaveLength(64);
    expect(taken.filter((id) => stolen.includes(id))).toEqual([]);
  });

  test('leaves no bucket out when there are more replicas than buckets', async () => {
    for (const index of [0, 3, 6]) {
      const { list, core } = await start(endpoint, 0, { buckets: 2, rank: { index, replicas: 7 } });
      await addSandbox(core, 'a');
      await addSandbox(core, 'b');
      await addSandbox(core, 'c');
      const taken: (string | undefined)[] = [];
      for (let i = 0; i < 3; i++) {
        if (list.size === 0) await list.sweep();
        taken.push(list.take()?.id);
      }
      expect(taken.sort()).toEqual(['a', 'b', 'c']);
    }
  });
});
