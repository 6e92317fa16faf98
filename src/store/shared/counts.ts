import { z } from 'zod';
import type { NewId } from '../../clock.ts';
import { type Differences, entriesOf, type PoolCounts, toPoolCounts } from '../../domain/pool-counts.ts';
import { POOL_STATUSES, type PoolStatus } from '../../domain/sandbox.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { COUNTS_ARE_AS_SEEN, IS_FIRST_DELIVERY, IS_THERE } from '../sandboxes/conditions.ts';
import { COUNTS_KEY } from '../sandboxes/keys.ts';

/** Counts that all replicas know. */
export interface PublishedCounts extends PoolCounts {
  /** How often differences were added to counts, ever: what was added while somebody counts may be missing there. */
  additions: number;
}

/** An older version knows fewer statuses, and counts none of the others. */
const countsItem = z.object({
  counts: z.object(
    Object.fromEntries(POOL_STATUSES.map((status) => [status, z.int().default(0)])) as Record<
      PoolStatus,
      z.ZodDefault<z.ZodInt>
    >,
  ),
  as_of_ms: z.int(),
  additions: z.int().optional(),
});

/**
 * Publishes counts for all replicas, unless newer ones are there. False: differences have been added since `additions`
 * was read, and may be missing in them.
 */
export async function writeCounts(
  client: StoreClient,
  counts: PoolCounts,
  additions = 0,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    await client.put(
      {
        Item: { ...COUNTS_KEY, counts: counts.counts, as_of_ms: counts.asOfMs, additions },
        ConditionExpression: COUNTS_ARE_AS_SEEN,
        ExpressionAttributeValues: { ':asOf': counts.asOfMs, ':additions': additions, ':none': 0 },
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
      signal,
    );
    return true;
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
    return (error.item?.['additions'] ?? 0) === additions;
  }
}

/**
 * Adds to what is published what has changed since, and returns it; undefined where nothing has been counted yet. A
 * difference that comes twice is added once.
 */
export async function addDifferences(
  client: StoreClient,
  by: Differences,
  newId: NewId,
  signal?: AbortSignal,
): Promise<PublishedCounts | undefined> {
  const entries = entriesOf(by);
  const deliveryId = newId();
  const steps = entries.map(
    ([status]) => `counts.${status} = if_not_exists(counts.${status}, :none) + :${status}`,
  );
  try {
    const item = await client.update(
      {
        Key: COUNTS_KEY,
        UpdateExpression: `SET ${[...steps, 'additions = if_not_exists(additions, :none) + :one', 'delivery_id = :delivery'].join(', ')}`,
        ConditionExpression: `${IS_THERE} AND (${IS_FIRST_DELIVERY})`,
        ExpressionAttributeValues: {
          ...Object.fromEntries(entries.map(([status, number]) => [`:${status}`, number])),
          ':none': 0,
          ':one': 1,
          ':delivery': deliveryId,
        },
        ReturnValues: 'ALL_NEW',
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
      signal,
    );
    return item && toPublished(item);
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
    // Our own write, whose answer was lost and which was sent again.
    return error.item && toPublished(error.item);
  }
}

/** The counts that were published last. */
export async function readCounts(
  client: StoreClient,
  signal?: AbortSignal,
): Promise<PublishedCounts | undefined> {
  const item = await client.get(COUNTS_KEY, signal);
  return item && toPublished(item);
}

function toPublished(item: Item): PublishedCounts {
  const row = countsItem.parse(item);
  return { ...toPoolCounts(row.counts, row.as_of_ms), additions: row.additions ?? 0 };
}
