import { describe, expect, test } from 'vitest';
import { type Bucket, createLimiter, takeToken } from '../../src/http/token-bucket.ts';

const options = { perSecond: 2, burst: 3 };

describe('a token bucket', () => {
  test('starts full, and gives its whole burst at once', () => {
    const remaining: [boolean, number][] = [];
    let bucket: Bucket | undefined;
    for (let call = 0; call < 3; call++) {
      const taken = takeToken(bucket, 1000, options);
      bucket = taken.bucket;
      remaining.push([taken.verdict.allowed, taken.verdict.remaining]);
    }
    expect(remaining).toEqual([
      [true, 2],
      [true, 1],
      [true, 0],
    ]);
  });

  test('refuses when it is empty, and says when one call and when all of them are allowed again', () => {
    const { verdict } = takeToken({ tokens: 0, updatedAtMs: 1000 }, 1000, options);
    expect(verdict).toEqual({ allowed: false, remaining: 0, resetSeconds: 2, retryAfterSeconds: 1 });
  });

  test('fills up with time, never past its burst', () => {
    const empty = { tokens: 0, updatedAtMs: 1000 };
    expect(takeToken(empty, 1500, options).verdict.allowed).toBe(true);
    expect(takeToken(empty, 1499, options).verdict.allowed).toBe(false);
    expect(takeToken(empty, 3_600_000, options).bucket.tokens).toBe(2);
  });

  test('a refused call costs nothing', () => {
    const refused = takeToken({ tokens: 0.5, updatedAtMs: 1000 }, 1000, options);
    expect(refused.bucket.tokens).toBe(0.5);
  });

  test('a clock that is set back neither fills nor empties it', () => {
    const { bucket } = takeToken({ tokens: 2, updatedAtMs: 1_000_000 }, 5000, options);
    expect(bucket).toEqual({ tokens: 1, updatedAtMs: 5000 });
    expect(takeToken(bucket, 5500, options).bucket.tokens).toBe(1);
  });
});

describe('a limiter', () => {
  const clock = { nowMs: () => 1000 };

  test('keeps a bucket for each key', () => {
    const take = createLimiter({ perSecond: 1, burst: 1, maxKeys: 10 }, clock);
    expect(take('a').allowed).toBe(true);
    expect(take('a').allowed).toBe(false);
    expect(take('b').allowed).toBe(true);
  });

  test('forgets the key unused for longest when there are too many', () => {
    const take = createLimiter({ perSecond: 1, burst: 1, maxKeys: 2 }, clock);
    take('a');
    take('b');
    take('a');
    take('c');
    expect(take('a').allowed, 'used again, so remembered').toBe(false);
    expect(take('b').allowed, 'forgotten, so full').toBe(true);
  });

  test.each([
    [{ perSecond: 0, burst: 1, maxKeys: 1 }, 'perSecond'],
    [{ perSecond: Number.NaN, burst: 1, maxKeys: 1 }, 'perSecond'],
    [{ perSecond: 1, burst: 0.5, maxKeys: 1 }, 'burst'],
    [{ perSecond: 1, burst: 1, maxKeys: 0 }, 'maxKeys'],
  ])('refuses to be made with %j', (bad, name) => {
    expect(() => createLimiter(bad, clock)).toThrow(new RegExp(`^${name} must be`));
  });
});
