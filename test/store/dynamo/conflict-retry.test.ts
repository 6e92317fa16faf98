import { expect, test } from 'vitest';
import { retryConflicts } from '../../../src/store/dynamo/conflict-retry.ts';

/** Conflicts so often, and comes to `written` then. */
function conflicting(times: number) {
  let attempts = 0;
  const attempt = async () => (attempts++ < times ? ('conflict' as const) : ('written' as const));
  return { attempt, attempts: () => attempts };
}

test('a write that meets another is made again, so often and no more', async () => {
  const some = conflicting(3);
  expect(await retryConflicts(some.attempt, { retries: 3 })).toBe('written');
  const many = conflicting(4);
  expect(await retryConflicts(many.attempt, { retries: 3 })).toBe('conflict');
  expect([some.attempts(), many.attempts()]).toEqual([4, 4]);
});

test('another outcome, and an error, are given back at once', async () => {
  expect(await retryConflicts(async () => 'lost')).toBe('lost');
  let attempts = 0;
  const failing = () => {
    attempts++;
    return Promise.reject(new Error('no'));
  };
  await expect(retryConflicts(failing)).rejects.toThrow('no');
  expect(attempts).toBe(1);
});
