import type { PoolStatus } from '../domain/sandbox.ts';

/** The last counts of the pool and when they were made. */
export interface PoolCounts {
  counts: Record<PoolStatus, number>;
  total: number;
  /** Epoch milliseconds. */
  asOfMs: number;
}

/** The last known counts, from memory; undefined until the first count. */
export type PoolStats = () => PoolCounts | undefined;
