import { describe, expect, test } from 'vitest';
import { backoffDelayMs, checkBackoff } from '../../../src/domain/resilience/backoff.ts';

const DEFAULTS = { baseMs: 1_000, maxMs: 60_000, multiplier: 2 };
/** A jitter of exactly 1. */
const MIDDLE = 0.5;

describe('the wait between two attempts', () => {
  test('doubles from the base on, and stops at the maximum', () => {
    const waits = Array.from({ length: 8 }, (_, attempt) => backoffDelayMs(DEFAULTS, attempt, MIDDLE));
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  test.each([
    [0, 500],
    [0.25, 750],
    [0.999, 1_499],
  ])('is jittered by [0.5, 1.5): %d makes it %d ms', (random, expected) => {
    expect(backoffDelayMs(DEFAULTS, 0, random)).toBeCloseTo(expected, 6);
  });

  test.each([5, 6, 7, 50, 5_000])(
    'never exceeds the maximum, the jitter included (attempt %d)',
    (attempt) => {
      for (let random = 0; random < 1; random += 0.01) {
        expect(backoffDelayMs(DEFAULTS, attempt, random)).toBeLessThanOrEqual(60_000);
      }
    },
  );

  test('still spreads callers at the maximum', () => {
    expect(backoffDelayMs(DEFAULTS, 5_000, 0)).toBe(30_000);
    expect(backoffDelayMs(DEFAULTS, 5_000, 0.25)).toBe(45_000);
  });

  test('a multiplier of 1 is a constant wait', () => {
    expect(backoffDelayMs({ ...DEFAULTS, multiplier: 1 }, 9, MIDDLE)).toBe(1_000);
  });

  test.each([-1, 0.5, Number.NaN])('there is no attempt %d', (attempt) => {
    expect(() => backoffDelayMs(DEFAULTS, attempt, MIDDLE)).toThrow(RangeError);
  });
});

test.each([{ baseMs: 0 }, { baseMs: Number.NaN }, { maxMs: 999 }, { multiplier: 0.9 }])(
  '%o cannot be meant',
  (bad) => {
    expect(() => checkBackoff({ ...DEFAULTS, ...bad })).toThrow(RangeError);
  },
);
