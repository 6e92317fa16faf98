import type { Key, StoreClient } from './client.ts';
import { IS_EXPIRED } from './conditions.ts';
import type { Item } from './documents.ts';
import { ConditionFailedError } from './errors.ts';

/**
 * Deletes what TTL should have deleted, for the embedded engine, which does not: without it the file would grow for
 * ever. Returns how many items went. An item that was written again meanwhile stays.
 */
export async function deleteExpired(
  client: StoreClient,
  nowMs: number,
  signal: AbortSignal,
): Promise<number> {
  const alias = { ExpressionAttributeNames: { '#ttl': 'ttl' } };
  const values = { ':now': Math.floor(nowMs / 1000) };
  let deleted = 0;
  let after: Item | undefined;
  do {
    const page = await client.scan(
      {
        ...alias,
        FilterExpression: IS_EXPIRED,
        ExpressionAttributeValues: values,
        ProjectionExpression: 'pk, sk',
        ...(after && { ExclusiveStartKey: after }),
      },
      signal,
    );
    for (const item of page.items) {
      const key: Key = { pk: String(item.pk), sk: String(item.sk) };
      try {
        const condition = { ConditionExpression: IS_EXPIRED, ExpressionAttributeValues: values };
        await client.delete({ Key: key, ...alias, ...condition }, signal);
        deleted++;
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
      }
    }
    after = page.lastKey;
  } while (after);
  return deleted;
}
