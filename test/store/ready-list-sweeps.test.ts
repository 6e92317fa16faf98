import { expect, onTestFinished, test, vi } from 'vitest';
import { describeOnFastEngine } from '../support/engines.ts';
import { holdAnswers } from '../support/injected-faults.ts';
import { until } from '../support/until.ts';
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

  test('shares a sweep for a name, too, long after the name was asked for first', async () => {
    const { list, faults } = await start(endpoint, 0);
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
