import type { Clock } from '../clock.ts';
import { BoundedMap } from '../domain/bounded-map.ts';

export interface BucketOptions {
  /** Tokens that come back every second, > 0. */
  perSecond: number;
  /** Tokens of a full bucket, >= 1: so many calls may come at once. */
  burst: number;
}

export interface Bucket {
  tokens: number;
  /** Epoch milliseconds. */
  updatedAtMs: number;
}

export interface Verdict {
  allowed: boolean;
  /** Whole calls left. */
  remaining: number;
  /** Seconds until the bucket is full again, rounded up. */
  resetSeconds: number;
  /** Seconds until one call is allowed, rounded up; 0 when it is now. */
  retryAfterSeconds: number;
}

/**
 * Takes one token, if there is one. `undefined` is a bucket nobody has used yet: full. A clock that was set back
 * neither fills nor empties it.
 */
export function takeToken(
  bucket: Bucket | undefined,
  nowMs: number,
  { perSecond, burst }: BucketOptions,
): { bucket: Bucket; verdict: Verdict } {
  const elapsedMs = bucket === undefined ? 0 : Math.max(0, nowMs - bucket.updatedAtMs);
  const before =
    bucket === undefined ? burst : Math.min(burst, bucket.tokens + (elapsedMs * perSecond) / 1000);
  const allowed = before >= 1;
  const tokens = allowed ? before - 1 : before;
  return {
    bucket: { tokens, updatedAtMs: nowMs },
    verdict: {
      allowed,
      remaining: Math.floor(tokens),
      resetSeconds: Math.ceil((burst - tokens) / perSecond),
      retryAfterSeconds: allowed ? 0 : Math.ceil((1 - tokens) / perSecond),
    },
  };
}

/** Takes one token out of the bucket of `key`. */
export type Limiter = (key: string) => Verdict;

/**
 * A token bucket per key. Memory is bounded: past `maxKeys` the one unused for longest is forgotten, which for a bucket
 * that has had time to fill up makes no difference. Throws `RangeError` for options out of range.
 */
export function createLimiter(options: BucketOptions & { maxKeys: number }, clock: Clock): Limiter {
  if (!(options.perSecond > 0)) throw new RangeError(`perSecond must be > 0, not ${options.perSecond}`);
  if (!(options.burst >= 1)) throw new RangeError(`burst must be >= 1, not ${options.burst}`);
  const buckets = new BoundedMap<string, Bucket>(options.maxKeys);
  return (key) => {
    const { bucket, verdict } = takeToken(buckets.get(key), clock.nowMs(), options);
    buckets.set(key, bucket);
    return verdict;
  };
}
