import { z } from 'zod';
import { POOL_STATUSES, type PoolStatus } from '../../domain/sandbox.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { COUNTS_KEY } from '../sandboxes/keys.ts';

/** The pool's counts at a moment. */
export interface PoolCounts {
  counts: Record<PoolStatus, number>;
  total: number;
  /** Epoch milliseconds. */
  asOfMs: number;
}

const countsItem = z.object({
  counts: z.object(
    Object.fromEntries(POOL_STATUSES.map((status) => [status, z.int()])) as Record<PoolStatus, z.ZodInt>,
  ),
  as_of_ms: z.int(),
});

/** Adds up what a count of each status gave. */
export const toPoolCounts = (counts: Record<PoolStatus, number>, asOfMs: number): PoolCounts => ({
  counts,
  total: POOL_STATUSES.reduce((sum, status) => sum + counts[status], 0),
  asOfMs,
});

/** Publishes counts for all replicas, unless newer ones are there. */
export async function writeCounts(
  client: StoreClient,
  counts: PoolCounts,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await client.put(
      {
        Item: { ...COUNTS_KEY, counts: counts.counts, as_of_ms: counts.asOfMs },
        ConditionExpression: 'attribute_not_exists(pk) OR as_of_ms < :asOf',
        ExpressionAttributeValues: { ':asOf': counts.asOfMs },
      },
      signal,
    );
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
  }
}

/** The counts that were published last. */
export async function readCounts(client: StoreClient, signal?: AbortSignal): Promise<PoolCounts | undefined> {
  const item = await client.get(COUNTS_KEY, signal);
  if (!item) return undefined;
  const row = countsItem.parse(item);
  return toPoolCounts(row.counts, row.as_of_ms);
}
