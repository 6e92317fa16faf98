import type { Clock } from '../../clock.ts';
import { type PoolCounts, toPoolCounts } from '../../domain/pool-counts.ts';
import { isInUse, POOL_STATUSES, type PoolStatus } from '../../domain/sandbox.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';

/** A pool of no more sandboxes is counted as a whole: that reads no more than a unit for ten. */
const WHOLE_UP_TO = 5_000;
const SANDBOXES_PER_UNIT = 10;

/**
 * Counts the pool. The counts are as of the start: what changes meanwhile may be in them or not, and, unless the reads
 * are `consistent`, what changed within the last second before.
 *
 * Of a large pool whose size is `known` the small statuses are counted, and the largest is what is left.
 */
export async function countPool(
  { reads, clock }: { reads: Pick<SandboxReads, 'count'>; clock: Clock },
  { consistent, known }: { consistent: boolean; known?: PoolCounts | undefined },
  signal: AbortSignal,
): Promise<PoolCounts> {
  const asOfMs = clock.nowMs();
  const largest = known ? largestOf(known) : [];
  const others = POOL_STATUSES.filter((status) => !largest.includes(status));
  const counted = await reads.count(others, consistent, signal);
  const [first, ...rest] = largest;
  if (!known || !first) return toPoolCounts(counted as PoolCounts['counts'], asOfMs);
  const counts = { ...known.counts, ...counted };
  const left = known.total - sumOf(counts, others) - sumOf(counts, rest);
  // What is known cannot be right.
  if (left < 0) return countPool({ reads, clock }, { consistent }, signal);
  return toPoolCounts({ ...counts, [first]: left }, asOfMs);
}

/** What a count of a pool of this size reads, in read units. */
export const countUnits = (known: PoolCounts): number => {
  const largest = largestOf(known);
  const read = POOL_STATUSES.filter((status) => !largest.includes(status));
  return sumOf(known.counts, read) / SANDBOXES_PER_UNIT;
};

/**
 * The statuses that need not be counted: the larger part of a large pool, which is free or in use. Those in use can only be
 * counted together.
 */
function largestOf({ total, counts }: PoolCounts): readonly PoolStatus[] {
  if (total <= WHOLE_UP_TO) return [];
  const inUse = POOL_STATUSES.filter(isInUse);
  const groups = [inUse, ...POOL_STATUSES.filter((status) => !isInUse(status)).map((status) => [status])];
  return groups.reduce((one, other) => (sumOf(counts, other) > sumOf(counts, one) ? other : one));
}

const sumOf = (counts: Readonly<Record<PoolStatus, number>>, statuses: readonly PoolStatus[]): number =>
  statuses.reduce((sum, status) => sum + counts[status], 0);
