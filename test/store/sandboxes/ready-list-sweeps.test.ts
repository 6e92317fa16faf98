import { expect, test } from 'vitest';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { holdAnswers } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { addSandbox, bucketsRead, queries, start } from './ready-list-steps.ts';

/** Timers count whole milliseconds, and may fire up to one early. */
const TIMER_SLACK_MS = 2;

describeOnFastEngine('the ready list', ({ endpoint }) => {
  test('reads on through pages of what is out, until there is one to be had', async () => {
    const { list, faults } = await start(endpoint, 30);
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
    const { list, faults } = await start(endpoint, 0, { buckets: 16 });
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
    const { list } = await start(endpoint, 0, { rank: { index: 0, replicas } });
    let previousMs = (await list.sweep()).startedAtMs;
    for (let i = 0; i < 4; i++) {
      const { startedAtMs } = await list.sweep();
      expect(startedAtMs - previousMs).toBeGreaterThanOrEqual(gapMs - TIMER_SLACK_MS);
      previousMs = startedAtMs;
    }
  });

  test('sweeps for one name while a sweep for another hangs', async () => {
    const { core, list, faults } = await start(endpoint, 0);
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

  test('shares a sweep for a name, too, with whoever asks until it ends', async () => {
    const { list, faults } = await start(endpoint, 0);
    await list.sweep('name');
    const slow = holdAnswers();
    faults.next('Query', slow.fault);
    const first = list.sweep('name');
    await until(() => slow.waiting === 1, { what: 'the sweep is under way' });
    const second = list.sweep('name');
    slow.release();
    expect(await second).toBe(await first);
    expect(queries(faults)).toHaveLength(2);
  });

  const names = (count: number) => Array.from({ length: count }, (_, i) => `name-${i}`);
  const sweptFor = (json: string) => /#(name-\d+)"/.exec(json)?.[1];

  test('sweeps for a few prefixes at a time, and for the others in the order in which they were asked for', async () => {
    const { list, faults } = await start(endpoint, 0);
    const held = holdAnswers();
    faults.next('Query', held.fault, { times: Number.POSITIVE_INFINITY });
    const sweeps = names(20).map((name) => list.sweep(name));
    await until(() => held.waiting === 3, { what: 'the first sweeps are under way' });
    expect(await list.sweep('name-0', AbortSignal.abort('no time')).catch((reason) => reason)).toBe(
      'no time',
    );
    expect(queries(faults)).toHaveLength(3);
    held.release();
    expect((await Promise.all(sweeps)).every(({ exhausted }) => exhausted)).toBe(true);
    expect(queries(faults).map(({ json }) => sweptFor(json))).toEqual(names(20));
    expect(list.remembered).toBe(0);
  });

  test('keeps nothing of a prefix that nobody waits for any more, and reads nothing for it', async () => {
    const { list, faults } = await start(endpoint, 0);
    const held = holdAnswers();
    faults.next('Query', held.fault, { times: 3 });
    const caller = new AbortController();
    const sweeps = names(200).map((name) => list.sweep(name, caller.signal));
    const patient = list.sweep('name-199');
    await until(() => held.waiting === 3, { what: 'the first sweeps are under way' });
    caller.abort(new Error('no time left'));
    for (const { status } of await Promise.allSettled(sweeps)) expect(status).toBe('rejected');
    held.release();
    expect(await patient).toMatchObject({ exhausted: true });
    expect(queries(faults).map(({ json }) => sweptFor(json))).toEqual([...names(3), 'name-199']);
    expect(list.remembered).toBe(0);
  });

  test('believes the pool empty after a look that found nothing, until it finds something', async () => {
    const { core, list } = await start(endpoint, 0);
    expect(list.believedEmpty).toBe(false);
    await list.sweep('name');
    expect(list.believedEmpty).toBe(false);
    await list.sweep();
    expect(list.believedEmpty).toBe(true);
    await addSandbox(core, 'one');
    await list.sweep();
    expect(list.believedEmpty).toBe(false);
  });
});
