import { expect, test } from 'vitest';
import { readRetryAfter, waitMs } from '../../src/client/waiting.ts';

test('waits double up to a limit, and chance takes off half at the most', () => {
  expect([1, 2, 3, 4, 5, 6, 20].map((failures) => waitMs(failures, undefined, () => 1))).toEqual([
    200, 400, 800, 1_600, 3_200, 5_000, 5_000,
  ]);
  expect(waitMs(1, undefined, () => 0)).toBe(100);
});

test('nobody comes back before the broker said, and not all at the same moment', () => {
  expect(waitMs(1, 7, () => 0)).toBe(7_000);
  expect(waitMs(1, 7, () => 0.5)).toBe(7_100);
  expect(waitMs(20, 7, () => 1)).toBe(8_000);
});

test.each([
  [null, undefined],
  ['3', 3],
  ['soon', undefined],
  ['-1', undefined],
  ['Tue, 01 Jan 2030 09:00:05 GMT', 5],
  ['Tue, 01 Jan 2030 08:00:00 GMT', 0],
])('Retry-After: %s', (value, seconds) => {
  expect(readRetryAfter(value, Date.UTC(2030, 0, 1, 9))).toBe(seconds);
});
