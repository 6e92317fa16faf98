import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createAnswerTimes } from '../../../src/store/dynamo/answer-times.ts';

const FROM_1_TO_3_S = { shortestMs: 1_000, longestMs: 3_000 };

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Times of a store whose calls of the kind `write` take as long as is said, one after the other. */
function timesOf(tookMs: readonly number[]) {
  const times = createAnswerTimes(FROM_1_TO_3_S);
  const answer = (ms: number) => {
    const sentAtMs = performance.now();
    vi.advanceTimersByTime(ms);
    times.answered('write', sentAtMs);
  };
  for (const ms of tookMs) answer(ms);
  return { times, answer, limitMs: () => times.limitMs('write') };
}

const often = (ms: number, times = 20): number[] => Array.from({ length: times }, () => ms);

test.for([
  ['a quick store', often(20), 1_000],
  ['one whose answers all come within 250 ms', often(250), 1_000],
  ['one that needs 500 ms now and then', [...often(20), 500, ...often(20)], 2_000],
  ['one that needs 750 ms now and then', [...often(20), 750, ...often(20)], 3_000],
  ['one that was slow a hundred calls ago', [750, ...often(20, 100)], 1_000],
  ['one that is hardly known', often(20, 9), 3_000],
] as const)('waits for the answer of %s as long as its own times allow', ([, tookMs, wantedMs]) => {
  expect(timesOf(tookMs).limitMs()).toBe(wantedMs);
});

test('gives each kind of call its own time', () => {
  const { times, limitMs } = timesOf(often(20));
  expect([limitMs(), times.limitMs('read')]).toEqual([1_000, 3_000]);
});

test('has patience with a store that answers nobody, until it answers again', () => {
  const { times, answer, limitMs } = timesOf(often(20));
  const sentAtMs = performance.now();
  vi.advanceTimersByTime(1_000);
  times.unanswered('write', sentAtMs);
  expect(limitMs()).toBe(3_000);
  answer(20);
  expect(limitMs()).toBe(1_000);
});

test('takes an answer for lost where a later call was answered meanwhile', () => {
  const { times, answer, limitMs } = timesOf(often(20));
  const sentAtMs = performance.now();
  vi.advanceTimersByTime(1);
  answer(20);
  vi.advanceTimersByTime(979);
  times.unanswered('write', sentAtMs);
  expect(limitMs()).toBe(1_000);
});

test('refuses a time that cannot work', () => {
  for (const shortestMs of [0, 3_001, Number.NaN]) {
    expect(() => createAnswerTimes({ ...FROM_1_TO_3_S, shortestMs })).toThrow(RangeError);
  }
});
