import { z } from 'zod';
import type { NewId } from '../../clock.ts';
import { type Differences, entriesOf, type PoolCounts, toPoolCounts } from '../../domain/pool-counts.ts';
import { POOL_STATUSES, type PoolStatus } from '../../domain/sandbox.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { COUNTS_ARE_AS_SEEN, COUNTS_ARE_OF, IS_FIRST_DELIVERY } from '../sandboxes/conditions.ts';
import { COUNTS_KEY } from '../sandboxes/keys.ts';

/** Counts that all replicas know, with what has been added to them since. */
export interface PublishedCounts extends PoolCounts {
  /** How often differences were added to counts, ever: what was added while somebody counts may be missing there. */
  additions: number;
  /** As many as there were when the pool was counted, and nothing has changed meanwhile; absent: something has, perhaps. */
  countedAdditions?: number | undefined;
  /** When something was added last, epoch milliseconds. */
  addedAtMs?: number | undefined;
}

/** What became of differences: they are in `counts`, or `counts` were counted after those that they were about. */
export interface Addition {
  isAdded: boolean;
  counts: PublishedCounts;
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
  counted_additions: z.int().optional(),
  added_at_ms: z.int().optional(),
});

/**
 * Publishes counts for all replicas, unless newer ones are there. False: differences have been added since `additions`
 * was read, and may be missing in them.
 */
export async function writeCounts(
  client: StoreClient,
  { counts, asOfMs, additions = 0, countedAdditions }: PoolCounts & Partial<PublishedCounts>,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    await client.put(
      {
        Item: { ...COUNTS_KEY, counts, as_of_ms: asOfMs, additions, counted_additions: countedAdditions },
        ConditionExpression: COUNTS_ARE_AS_SEEN,
        ExpressionAttributeValues: { ':asOf': asOfMs, ':additions': additions, ':none': 0 },
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
 * Adds what has changed since the counts of `asOfMs` to them; undefined where nothing has been counted yet. Where the pool
 * was counted again meanwhile, that is told and nothing is added. A difference that comes twice is added once.
 */
export async function addDifferences(
  client: StoreClient,
  { by, asOfMs, nowMs }: { by: Differences; asOfMs: number; nowMs: number },
  newId: NewId,
  signal?: AbortSignal,
): Promise<Addition | undefined> {
  const entries = entriesOf(by);
  const deliveryId = newId();
  const steps = entries.map(
    ([status]) => `counts.${status} = if_not_exists(counts.${status}, :none) + :${status}`,
  );
  try {
    const item = await client.update(
      {
        Key: COUNTS_KEY,
        UpdateExpression: `SET ${[...steps, 'additions = if_not_exists(additions, :none) + :one', 'added_at_ms = :now', 'delivery_id = :delivery'].join(', ')}`,
        ConditionExpression: `${COUNTS_ARE_OF} AND (${IS_FIRST_DELIVERY})`,
        ExpressionAttributeValues: {
          ...Object.fromEntries(entries.map(([status, number]) => [`:${status}`, number])),
          ':none': 0,
          ':one': 1,
          ':delivery': deliveryId,
          ':asOf': asOfMs,
          ':now': Math.floor(nowMs),
        },
        ReturnValues: 'ALL_NEW',
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
      signal,
    );
    return item && { isAdded: true, counts: toPublished(item) };
  } catch (error) {
    if (!(error instanceof ConditionFailedError)) throw error;
    // Or it is our own write, whose answer was lost and which was sent again.
    const isAdded = error.item?.['delivery_id'] === deliveryId;
    return error.item && { isAdded, counts: toPublished(error.item) };
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
  return {
    ...toPoolCounts(row.counts, row.as_of_ms),
    additions: row.additions ?? 0,
    countedAdditions: row.counted_additions,
    addedAtMs: row.added_at_ms,
  };
}
