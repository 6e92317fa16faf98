import { z } from 'zod';
import type { StoreClient } from '../dynamo/client.ts';
import { IS_THERE } from '../sandboxes/conditions.ts';
import { bucketPk, LAYOUT_KEY, SANDBOX_SK } from '../sandboxes/keys.ts';

/** What the table's layout record remembers of where its sandboxes come from. Times are epoch milliseconds. */
export interface Stock {
  /** The table is of a version that keeps this: what is absent has not happened. */
  isKept: boolean;
  /** When a sync or an import was completed for the first time. */
  stockedAtMs?: number | undefined;
  lastSync?: SyncEnd | undefined;
}

/** How a sync ended. */
export interface SyncEnd {
  endedAtMs: number;
  /** Sandboxes the provider listed; absent where the sync failed. */
  listed?: number | undefined;
  /** Why it failed, or was not believed: a word, never an error's text. */
  error?: string | undefined;
}

const stockItem = z.object({
  keeps_stock: z.boolean().optional(),
  stocked_at_ms: z.number().optional(),
  sync_ended_at_ms: z.number().optional(),
  sync_listed: z.number().optional(),
  sync_error: z.string().optional(),
});

/** Undefined where the table has no layout record: it is not the one that was opened. */
export async function readStock(client: StoreClient, signal?: AbortSignal): Promise<Stock | undefined> {
  const item = await client.get(LAYOUT_KEY, signal);
  if (!item) return undefined;
  const { keeps_stock, stocked_at_ms, sync_ended_at_ms, sync_listed, sync_error } = stockItem.parse(item);
  return {
    isKept: keeps_stock === true,
    stockedAtMs: stocked_at_ms,
    lastSync:
      sync_ended_at_ms === undefined
        ? undefined
        : { endedAtMs: sync_ended_at_ms, listed: sync_listed, error: sync_error },
  };
}

/** Remembers that a sync or an import was completed; the first time counts. */
export async function noteStocked(client: StoreClient, nowMs: number, signal?: AbortSignal): Promise<void> {
  await client.update(
    {
      Key: LAYOUT_KEY,
      UpdateExpression: 'SET stocked_at_ms = if_not_exists(stocked_at_ms, :now)',
      ConditionExpression: IS_THERE,
      ExpressionAttributeValues: { ':now': nowMs },
    },
    signal,
  );
}

/** Remembers how the last sync ended. */
export async function noteSync(
  client: StoreClient,
  { endedAtMs, listed, error }: SyncEnd,
  signal?: AbortSignal,
): Promise<void> {
  const set = [
    'sync_ended_at_ms = :ended',
    ...(listed === undefined
      ? []
      : ['sync_listed = :listed', 'stocked_at_ms = if_not_exists(stocked_at_ms, :ended)']),
    ...(error === undefined ? [] : ['sync_error = :error']),
  ];
  const gone = [
    ...(listed === undefined ? ['sync_listed'] : []),
    ...(error === undefined ? ['sync_error'] : []),
  ];
  await client.update(
    {
      Key: LAYOUT_KEY,
      UpdateExpression: `SET ${set.join(', ')}${gone.length > 0 ? ` REMOVE ${gone.join(', ')}` : ''}`,
      ConditionExpression: IS_THERE,
      ExpressionAttributeValues: {
        ':ended': endedAtMs,
        ...(listed !== undefined && { ':listed': listed }),
        ...(error !== undefined && { ':error': error }),
      },
    },
    signal,
  );
}

/** Whether there is a sandbox in any bucket, whatever its status. */
export async function hasSandboxes(
  client: StoreClient,
  buckets: number,
  signal?: AbortSignal,
): Promise<boolean> {
  for (let bucket = 0; bucket < buckets; bucket++) {
    const { count } = await client.query(
      {
        KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sandbox)',
        ExpressionAttributeValues: { ':pk': bucketPk(bucket), ':sandbox': SANDBOX_SK },
        Limit: 1,
      },
      signal,
    );
    if (count > 0) return true;
  }
  return false;
}
