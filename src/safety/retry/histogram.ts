import { RETRY_BUCKETS, type RetryBucket } from '../../domain/resilience/retry-window.ts';

/** The first number of attempts that is too large for each bucket, in their order. */
const UPPER = [2, 3, 4, 6, 11, 21, Number.POSITIVE_INFINITY];

/**
 * The bucket of a task that took so many attempts: 1, 2, 3, 4-5, 6-10, 11-20, 21+. Throws a `RangeError` for anything
 * but a whole number >= 1: a task without an attempt has not been tried.
 */
export function attemptsBucket(attempts: number): RetryBucket {
  if (!Number.isSafeInteger(attempts) || attempts < 1) {
    throw new RangeError(`attempts must be a whole number >= 1, not ${attempts}`);
  }
  const bucket = RETRY_BUCKETS[UPPER.findIndex((upper) => attempts < upper)];
  if (bucket === undefined) throw new RangeError(`no bucket for ${attempts}`);
  return bucket;
}

/** How many tasks took how many attempts, on this replica since its start. */
export interface RetryHistogram {
  /** Counts a task that is over; gives its bucket. */
  count(attempts: number): RetryBucket;
  counts(): Record<RetryBucket, number>;
}

export function createRetryHistogram(): RetryHistogram {
  const counts = new Map<RetryBucket, number>(RETRY_BUCKETS.map((bucket) => [bucket, 0]));
  return {
    count(attempts) {
      const bucket = attemptsBucket(attempts);
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
      return bucket;
    },
    counts: () => Object.fromEntries(counts) as Record<RetryBucket, number>,
  };
}
