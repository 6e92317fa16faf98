import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createPace } from '../../../src/store/dynamo/pace.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** Lets the gap pass, and sends a call; when it was sent. */
function sendWhenDue(pace: ReturnType<typeof createPace<string>>): number {
  vi.advanceTimersByTime(Math.ceil(pace.waitMs('a')));
  expect(pace.waitMs('a')).toBe(0);
  pace.sent('a');
  return performance.now();
}

test('a place that refuses nothing is not waited for', () => {
  const pace = createPace<string>();
  for (let i = 0; i < 10; i++) {
    pace.sent('a');
    pace.carriedOut('a', performance.now());
  }
  expect([pace.isWell('a'), pace.waitMs('a')]).toEqual([true, 0]);
});

test('a place that refuses again and again is left alone twice as long each time, a second at the most', () => {
  const pace = createPace<string>();
  const gaps: number[] = [];
  for (let i = 0; i < 7; i++) {
    pace.refused('a', sendWhenDue(pace));
    gaps.push(Math.round(pace.waitMs('a')));
  }
  expect(gaps).toEqual([50, 100, 200, 400, 800, 1_000, 1_000]);
  expect([pace.isWell('a'), pace.isWell('b'), pace.waitMs('b')]).toEqual([false, true, 0]);
});

test('of the calls that were under way together only the first refusal counts', () => {
  const pace = createPace<string>();
  const sentAtMs = performance.now();
  vi.advanceTimersByTime(10);
  for (let i = 0; i < 4; i++) pace.refused('a', sentAtMs);
  pace.carriedOut('a', sentAtMs);
  expect(pace.waitMs('a')).toBe(50);
});

test('calls that are carried out bring the pace back, until the place is well', () => {
  const pace = createPace<string>();
  pace.refused('a', performance.now());
  const gaps: number[] = [];
  while (!pace.isWell('a')) {
    const sentAtMs = sendWhenDue(pace);
    gaps.push(Math.round(pace.waitMs('a')));
    pace.carriedOut('a', sentAtMs);
  }
  expect(gaps.slice(0, 3)).toEqual([50, 43, 36]);
  expect(gaps.length).toBeLessThan(15);
  expect(pace.waitMs('a')).toBe(0);
});

test('a place that nobody has tried for some seconds is as good as any other', () => {
  const pace = createPace<string>();
  pace.refused('a', performance.now());
  vi.advanceTimersByTime(3_000);
  expect(pace.isWell('a')).toBe(false);
  vi.advanceTimersByTime(100);
  expect(pace.isWell('a')).toBe(true);
});
