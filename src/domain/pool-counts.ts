import { isPoolStatus, POOL_STATUSES, type PoolStatus } from './sandbox.ts';

/** The pool's counts at a moment. */
export interface PoolCounts {
  counts: Record<PoolStatus, number>;
  total: number;
  /** Epoch milliseconds. */
  asOfMs: number;
}

export const noneCounted = (): Record<PoolStatus, number> =>
  Object.fromEntries(POOL_STATUSES.map((status) => [status, 0])) as Record<PoolStatus, number>;

/** By how many each status of the pool has grown. */
export type Differences = Partial<Record<PoolStatus, number>>;

/** Adds up what a count of each status gave. */
export const toPoolCounts = (counts: Record<PoolStatus, number>, asOfMs: number): PoolCounts => ({
  counts,
  total: POOL_STATUSES.reduce((sum, status) => sum + counts[status], 0),
  asOfMs,
});

/** The counts, and what has changed since. */
export const withDifferences = ({ counts, asOfMs }: PoolCounts, by: Differences): PoolCounts =>
  toPoolCounts(
    Object.fromEntries(
      POOL_STATUSES.map((status) => [status, Math.max(0, counts[status] + (by[status] ?? 0))]),
    ) as Record<PoolStatus, number>,
    asOfMs,
  );

/** The statuses that are in it, with their numbers. */
export const entriesOf = (by: Differences): [PoolStatus, number][] =>
  Object.entries(by).flatMap(([status, number]): [PoolStatus, number][] =>
    isPoolStatus(status) ? [[status, number]] : [],
  );
