import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { rememberOpenKeys } from '../../../src/usecases/leases/open-keys.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

test('a key is open until it is known what it has, or for a minute', () => {
  const keys = rememberOpenKeys();
  keys.add('a');
  keys.add('b');
  expect([keys.has('a'), keys.has('b'), keys.has('c')]).toEqual([true, true, false]);
  keys.settle('a');
  expect(keys.has('a')).toBe(false);
  vi.advanceTimersByTime(59_000);
  expect(keys.has('b')).toBe(true);
  vi.advanceTimersByTime(1_000);
  expect(keys.has('b')).toBe(false);
});

test('no more than ten thousand keys are remembered, the newest of them', () => {
  const keys = rememberOpenKeys();
  for (let i = 0; i < 30_000; i++) keys.add(`k-${i}`);
  const kept = Array.from({ length: 30_000 }, (_, i) => keys.has(`k-${i}`)).filter(Boolean);
  expect(kept).toHaveLength(10_000);
  expect(keys.has('k-29999')).toBe(true);
});
