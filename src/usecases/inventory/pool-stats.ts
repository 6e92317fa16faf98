import type { PoolCounts } from '../../domain/pool-counts.ts';

export type { PoolCounts };

/** The last known counts, from memory; undefined until the first count. */
export type PoolStats = () => PoolCounts | undefined;

/** The last counts of all replicas: never older than what the caller of a run was told. */
export type LatestPoolStats = (signal: AbortSignal) => Promise<PoolCounts | undefined>;
