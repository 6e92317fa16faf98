import type { Clock } from '../../clock.ts';
import { type PoolCounts, toPoolCounts } from '../../domain/pool-counts.ts';
import { POOL_STATUSES } from '../../domain/sandbox.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';

/**
 * Counts the pool. The counts are as of the start: what changes meanwhile may be in them or not, and, unless the reads
 * are `consistent`, what changed within the last second before.
 */
export async function countPool(
  { reads, clock }: { reads: Pick<SandboxReads, 'count'>; clock: Clock },
  consistent: boolean,
  signal: AbortSignal,
): Promise<PoolCounts> {
  const asOfMs = clock.nowMs();
  return toPoolCounts(await reads.count(POOL_STATUSES, consistent, signal), asOfMs);
}
