import type { PoolCounts } from '../store/counts.ts';

export type { PoolCounts };

/** The last known counts, from memory; undefined until the first count. */
export type PoolStats = () => PoolCounts | undefined;
