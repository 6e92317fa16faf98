import type { Clock } from '../../clock.ts';
import { POOL_STATUSES, type PoolStatus } from '../../domain/sandbox.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import { type PoolCounts, toPoolCounts } from '../../store/shared/counts.ts';

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
  const entries = await Promise.all(
    POOL_STATUSES.map(async (status) => [status, await reads.count(status, consistent, signal)] as const),
  );
  return toPoolCounts(Object.fromEntries(entries) as Record<PoolStatus, number>, asOfMs);
}
