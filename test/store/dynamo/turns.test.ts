import { performance as loop } from 'node:perf_hooks';
import { expect, onTestFinished, test, vi } from 'vitest';
import { EverybodyFails, farSide, settled } from './far-side.ts';

/** Time passes only when it is told to, and this process is at work for so much of it. */
function standStill({ utilization = 0 } = {}) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  vi.spyOn(loop, 'eventLoopUtilization').mockReturnValue({ idle: 0, active: 0, utilization });
  onTestFinished(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
}

const PLENTY = Array.from({ length: 40 }, (_, i) => `p${i}`);

test('does not wait for a call that is late while later ones are answered', async () => {
  standStill();
  const { add, ids, succeed } = farSide({ calls: 2, callsWhereLate: 4, size: 1 });
  for (const id of PLENTY) void add(id);
  vi.advanceTimersByTime(20);
  succeed(1);
  await settled();
  // The first one is overtaken by the third, and not late yet.
  vi.advanceTimersByTime(20);
  succeed(2);
  await settled();
  expect(ids()).toHaveLength(4);
  vi.advanceTimersByTime(60);
  expect(ids()).toHaveLength(5);
  // Two have turns, and one is late.
  vi.advanceTimersByTime(1_000);
  succeed(4);
  await settled();
  expect(ids()).toHaveLength(7);
  vi.advanceTimersByTime(1_000);
  succeed(6);
  await settled();
  vi.advanceTimersByTime(1_000);
  // Never more than four.
  expect(ids()).toHaveLength(8);
});

test.for([
  ['while nobody is answered: the store is slow for all', 0, false],
  ['while this process is what is slow', 0.9, true],
] as const)('waits for a call that is late %s', async ([, utilization, isAnswered]) => {
  standStill({ utilization });
  const { add, ids, succeed } = farSide({ calls: 2, callsWhereLate: 4, size: 1 });
  for (const id of PLENTY) void add(id);
  vi.advanceTimersByTime(20);
  if (isAnswered) succeed(1);
  await settled();
  vi.advanceTimersByTime(20);
  if (isAnswered) succeed(2);
  await settled();
  const before = ids().length;
  vi.advanceTimersByTime(1_000);
  expect(ids()).toHaveLength(before);
});

test('is late by what calls take, not by the clock', async () => {
  standStill();
  const { add, ids, succeed } = farSide({ calls: 2, callsWhereLate: 4, size: 1 });
  for (const id of PLENTY) void add(id);
  for (const call of [1, 2, 3]) {
    vi.advanceTimersByTime(300);
    succeed(call);
    await settled();
  }
  // 900 ms, where others take 300.
  expect(ids()).toHaveLength(5);
  vi.advanceTimersByTime(300);
  expect(ids()).toHaveLength(6);
});

test('is neither slower nor smaller after a call that was lost among others', async () => {
  standStill();
  const { add, ids, sent, succeed } = farSide({ calls: 2, callsWhereLate: 4, size: 4 });
  for (const id of PLENTY) add(id).catch(() => undefined);
  vi.advanceTimersByTime(10);
  succeed(1);
  await settled();
  vi.advanceTimersByTime(10);
  succeed(2);
  await settled();
  sent[0]?.answer(new EverybodyFails('no answer in time'));
  await settled();
  succeed(3);
  succeed(4);
  await settled();
  expect(ids().map((group) => group.length)).toEqual([1, 1, 4, 4, 4, 4, 4]);
});

test('lets those wait for another turn whose call came back late with a part undone', async () => {
  standStill();
  const { add, ids, sent, succeed } = farSide({ calls: 1, callsWhereLate: 2, size: 2 });
  const all = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((id) => add(id));
  succeed(0);
  await settled();
  expect(ids().at(-1)).toEqual(['b', 'c']);
  // With a single turn nothing overtakes a call; but this one is sent again, and its turn is as long as both.
  sent[1]?.answer(['again', { result: 'done c' }]);
  await settled();
  succeed(2);
  await settled();
  expect(ids().slice(2)).toEqual([['b'], ['d', 'e']]);
  succeed(3);
  await settled();
  succeed(4);
  expect(await Promise.all(all)).toHaveLength(7);
});
