import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { AvailableSandbox } from '../../src/domain/sandbox.ts';
import { create } from '../../src/domain/transitions.ts';
import { bucketOf, bucketPk } from '../../src/store/keys.ts';
import { createReadyList } from '../../src/store/ready-list.ts';
import type { Rank } from '../../src/store/replicas.ts';
import { context, startCore, type TestCore } from '../support/core.ts';
import { describeOnFastEngine } from '../support/engines.ts';
import {
  type FaultInjector,
  failWith,
  holdAnswers,
  injectFaults,
  refused,
} from '../support/injected-faults.ts';
import { until } from '../support/until.ts';

const ALONE: Rank = { index: 0, replicas: 1 };
/** Timers count whole milliseconds, and may fire up to one early. */
const TIMER_SLACK_MS = 2;

describeOnFastEngine('the ready list', ({ endpoint }) => {
  async function start(poolSize: number, { buckets = 1, rank = ALONE } = {}) {
    const core = await startCore(endpoint, { poolSize, buckets });
    onTestFinished(() => core.close());
    const errors: unknown[] = [];
    const list = createReadyList(
      core.reads,
      () => rank,
      (error) => errors.push(error),
    );
    return { core, list, errors, faults: injectFaults(core.client) };
  }

  const queries = (faults: FaultInjector) => faults.calls.filter(({ operation }) => operation === 'Query');

  const bucketsRead = (faults: FaultInjector): number[] =>
    queries(faults).map(({ json }) => Number.parseInt(/"B#([0-9a-f]+)"/.exec(json)?.[1] ?? '', 16));

  async function addSandbox(core: TestCore, id: string, name = id): Promise<AvailableSandbox> {
    const next = create(id, { name, externalId: id, metadata: {} }, core.clock.nowMs());
    expect(await core.store.write({ seen: undefined, next })).toBe(true);
    return next;
  }

  /** Leases one after the other, each to a holder of its own. */
  async function leaseSome(core: TestCore, count: number): Promise<{ conflicts: number }> {
    let conflicts = 0;
    for (let i = 0; i < count; i++) {
      const input = { principal: 'track', holder: randomUUID() };
      conflicts += (await core.useCases.allocateSandbox(input, context())).conflicts;
    }
    return { conflicts };
  }

  /** A hint that no table knows. */
  const imagined = (id: string): AvailableSandbox =>
    create(id, { name: id, externalId: id, metadata: {} }, Date.UTC(2030, 0, 1));

  test('gives each hint to one caller, and has none when all are out', async () => {
    const { list } = await start(3);
    await list.refresh();
    const ids = [list.take(), list.take(), list.take()].map((hint) => hint?.id);
    expect(ids.sort()).toEqual(['sim-0001', 'sim-0002', 'sim-0003']);
    expect(list.take()).toBeUndefined();
    await list.refresh();
    expect(list.take()).toBeUndefined();
  });

  test('offers a hint again that was given back', async () => {
    const { list } = await start(1);
    await list.refresh();
    const hint = list.take();
    list.giveBack(hint!);
    expect(list.size).toBe(1);
    expect(list.take()).toEqual(hint);
  });

  test('offers a sandbox again that was tried without a result, once it was read again', async () => {
    const { list } = await start(1);
    await list.refresh();
    const hint = list.take();
    list.settle(hint!, 'open');
    expect(list.take()).toBeUndefined();
    await list.sweep();
    expect(list.take()).toEqual(hint);
  });

  test('forgets the hints of a bucket that somebody else took one from, and no others', async () => {
    const { core, list } = await start(0, { buckets: 2 });
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

  test('does not steal while its own buckets have something, however many callers come meanwhile', async () => {
    const { core, list, faults } = await start(0, { buckets: 2, rank: { index: 0, replicas: 2 } });
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

  test('takes hints by the beginning of their names, and leaves the others where they are', async () => {
    const { core, list } = await start(0);
    for (const id of ['alpha-1', 'alpha-2', 'beta-1']) await addSandbox(core, id);
    await list.refresh();
    expect(list.take('beta')?.id).toBe('beta-1');
    expect(list.take('beta')).toBeUndefined();
    expect(list.take('alpha-2')?.id).toBe('alpha-2');
    expect(list.take('')?.id).toBe('alpha-1');
  });

  test('forgets with a refresh what other replicas have taken', async () => {
    const { core, list } = await start(2);
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
      const { list, faults } = await start(1);
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

  test('offers a sandbox again in a newer generation, however soon', async () => {
    const { core, list } = await start(1);
    await list.refresh();
    const hint = list.take()!;
    list.settle(hint, 'won');
    const recycled = { ...hint, generation: hint.generation + 3 };
    expect(await core.store.write({ seen: hint, next: recycled })).toBe(true);
    await list.sweep();
    expect(list.take()).toEqual(recycled);
  });

  test('reads on through pages of what is out, until there is one to be had', async () => {
    const { list, faults } = await start(30);
    await list.refresh();
    const out = Array.from({ length: 30 }, () => list.take()!);
    const last = out.find(({ name }) => name === 'lab-0030')!;
    for (const hint of out) list.settle(hint, hint === last ? 'open' : 'won');
    const before = queries(faults).length;
    expect(await list.sweep()).toMatchObject({ exhausted: false });
    expect(queries(faults).length - before).toBeGreaterThan(1);
    expect(list.take()).toEqual(last);
  });

  test('shares one sweep among all who ask while it runs', async () => {
    const { list, faults } = await start(0, { buckets: 16 });
    const sweeps = await Promise.all(Array.from({ length: 50 }, () => list.sweep()));
    expect(new Set(sweeps).size).toBe(1);
    expect(sweeps[0]?.exhausted).toBe(true);
    expect(bucketsRead(faults).sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, b) => b));
  });

  test.for([
    [1, 20],
    [4, 20],
    [8, 40],
  ] as const)('keeps the gap between the sweeps of %d replicas: %d ms', async ([replicas, gapMs]) => {
    const { list } = await start(0, { rank: { index: 0, replicas } });
    let previousMs = (await list.sweep()).startedAtMs;
    for (let i = 0; i < 4; i++) {
      const { startedAtMs } = await list.sweep();
      expect(startedAtMs - previousMs).toBeGreaterThanOrEqual(gapMs - TIMER_SLACK_MS);
      previousMs = startedAtMs;
    }
  });

  test('sweeps for one name while a sweep for another hangs', async () => {
    const { core, list, faults } = await start(0);
    await addSandbox(core, 'beta-1');
    const hanging = holdAnswers();
    faults.next('Query', hanging.fault, { matching: ({ json }) => json.includes('#alpha') });
    const alpha = list.sweep('alpha');
    await until(() => hanging.waiting === 1, { what: 'the sweep for alpha hangs' });
    expect(await list.sweep('beta')).toMatchObject({ exhausted: false });
    expect(await list.sweep()).toMatchObject({ exhausted: false });
    hanging.release();
    expect(await alpha).toMatchObject({ exhausted: true });
  });

  test('shares a sweep for a name, too, long after the name was asked for first', async () => {
    const { list, faults } = await start(0);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    // Each sweep leaves a timer behind that forgets the name a second later.
    await list.sweep('name');
    vi.advanceTimersByTime(900);
    await list.sweep('name');
    vi.advanceTimersByTime(100);
    const slow = holdAnswers();
    faults.next('Query', slow.fault);
    const first = list.sweep('name');
    while (slow.waiting === 0) await new Promise(setImmediate);
    vi.advanceTimersByTime(900);
    const second = list.sweep('name');
    slow.release();
    expect(await second).toBe(await first);
    expect(queries(faults)).toHaveLength(3);
  });

  test('believes the pool empty after a look that found nothing, until it finds something', async () => {
    const { core, list } = await start(0);
    expect(list.believedEmpty).toBe(false);
    await list.sweep('name');
    expect(list.believedEmpty).toBe(false);
    await list.sweep();
    expect(list.believedEmpty).toBe(true);
    await addSandbox(core, 'one');
    await list.sweep();
    expect(list.believedEmpty).toBe(false);
  });

  test("reads this replica's own buckets first, and the others only when it needs more", async () => {
    const rank = { index: 1, replicas: 4 };
    const { core, list, faults } = await start(0, { buckets: 8, rank });
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
    const { core } = await start(0, { buckets: 4 });
    const inFirst = (id: string) => [0, 2].includes(bucketOf(id, 4));
    const ids = Array.from({ length: 300 }, (_, i) => `lab-${i}`).filter(inFirst);
    for (const id of ids) await addSandbox(core, id);
    const listOf = (index: number) =>
      createReadyList(
        core.reads,
        () => ({ index, replicas: 2 }),
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
      const { list, core } = await start(0, { buckets: 2, rank: { index, replicas: 7 } });
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

  test('is filled in the background when it runs low', async () => {
    const { core } = await start(200);
    await core.readyList.refresh();
    expect(core.readyList.size).toBe(64);
    await leaseSome(core, 33);
    await until(() => core.readyList.size > 32, { what: 'the list is filled again' });
    expect(await leaseSome(core, 20)).toEqual({ conflicts: 0 });
  });

  test('tells of a refill that fails, and tries again with the next take', async () => {
    const { core, faults } = await start(200);
    await core.readyList.refresh();
    const isDown = failWith(() => refused('ThrottlingException'));
    faults.next('Query', isDown, { times: Number.POSITIVE_INFINITY });
    await leaseSome(core, 33);
    await until(() => core.backgroundErrors.length === 1, { what: 'the refill fails' });
    expect(core.backgroundErrors).toMatchObject([{ chore: 'refill', error: { code: 'STORE_UNAVAILABLE' } }]);
    faults.clear();
    await leaseSome(core, 1);
    await until(() => core.readyList.size > 32, { what: 'the list is filled again' });
  });

  test('keeps its hints when a refresh fails, and tells of it', async () => {
    const { list, errors, faults } = await start(3);
    await list.refresh();
    const isDown = failWith(() => refused('ThrottlingException'));
    faults.next('Query', isDown, { times: Number.POSITIVE_INFINITY });
    await list.refresh();
    expect(errors).toHaveLength(1);
    expect(list.size).toBe(3);
  });

  test('is sized by how many are out at once', async () => {
    const { list } = await start(300);
    for (let i = 0; i < 100; i++) {
      list.giveBack(imagined(`imagined-${i}`));
      list.take();
    }
    await list.refresh();
    expect(list.size).toBe(200);
  });

  test('remembers nothing for ever, however many sandboxes and names come by', async () => {
    const { list } = await start(0);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    for (let i = 0; i < 50; i++) await list.sweep(`name-${i}`);
    expect(list.remembered).toBe(50);
    vi.advanceTimersByTime(1_000);
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
