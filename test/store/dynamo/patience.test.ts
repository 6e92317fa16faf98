import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type CallLimit, createPatience, type Patience } from '../../../src/store/dynamo/patience.ts';

const TOTAL_MS = 1_000;
const STEP_MS = 10;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** How long it takes until the limit is reached, milliseconds; for the first `answeredMs` the store answers others. */
function lastsFor(limit: CallLimit, patience: Patience, answeredMs: number): number {
  let lastedMs = 0;
  for (; !limit.signal.aborted; lastedMs += STEP_MS) {
    if (lastedMs <= answeredMs) patience.answered();
    vi.advanceTimersByTime(STEP_MS);
  }
  return lastedMs;
}

test('a call that waits for a silent store gives up after its time', () => {
  const patience = createPatience(TOTAL_MS);
  patience.answered();
  vi.advanceTimersByTime(500);
  expect(lastsFor(patience.limit(), patience, -1)).toBe(TOTAL_MS);
});

test('a call that waits while others are answered is patient, and gives up after the last answer', () => {
  const patience = createPatience(TOTAL_MS);
  expect(lastsFor(patience.limit(), patience, 1_500)).toBe(1_500 + TOTAL_MS);
});

test('no call waits for ever, however many others are answered', () => {
  const patience = createPatience(TOTAL_MS);
  expect(lastsFor(patience.limit(), patience, Number.POSITIVE_INFINITY)).toBe(3 * TOTAL_MS);
});

test("a call that has its turn gets no more time from others' answers", () => {
  const patience = createPatience(TOTAL_MS);
  const limit = patience.limit();
  vi.advanceTimersByTime(700);
  patience.answered();
  limit.sent();
  expect(lastsFor(limit, patience, Number.POSITIVE_INFINITY)).toBe(TOTAL_MS);
});

test('a call that waits for another try is patient again', () => {
  const patience = createPatience(TOTAL_MS);
  const limit = patience.limit();
  limit.sent();
  vi.advanceTimersByTime(700);
  limit.waits();
  expect(lastsFor(limit, patience, 500)).toBe(500 + TOTAL_MS);
});

test('a call ends with its caller, and leaves no timer behind', () => {
  const patience = createPatience(TOTAL_MS);
  const caller = new AbortController();
  const limit = patience.limit(caller.signal);
  const cleared = patience.limit(caller.signal);
  cleared.clear();
  caller.abort();
  expect(limit.signal.aborted).toBe(true);
  expect(cleared.signal.aborted).toBe(false);
  expect(patience.limit(caller.signal).signal.aborted).toBe(true);
  limit.clear();
  vi.advanceTimersByTime(10 * TOTAL_MS);
  expect(cleared.signal.aborted).toBe(false);
});
