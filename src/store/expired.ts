import { workOff } from '../work-off.ts';
import type { Key, StoreClient } from './dynamo/client.ts';
import type { Item } from './dynamo/documents.ts';
import { ConditionFailedError } from './dynamo/errors.ts';
import { IS_EXPIRED } from './sandboxes/conditions.ts';

/**
 * Deletes what TTL should have deleted, for the embedded engine, which does not: without it the file would grow for
 * ever. Returns how many items went. An item that was written again meanwhile stays; one that cannot be deleted keeps none
 * of the others.
 */
export async function deleteExpired(
  client: StoreClient,
  nowMs: number,
  signal: AbortSignal,
  onFailure: (key: Key, error: unknown) => void,
): Promise<number> {
  const alias = { ExpressionAttributeNames: { '#ttl': 'ttl' } };
  const values = { ':now': Math.floor(nowMs / 1000) };
  const expired = async function* () {
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
      for (const { pk, sk } of page.items) yield { pk: String(pk), sk: String(sk) };
      after = page.lastKey;
    } while (after);
  };
  let deleted = 0;
  const deleteOne = async (key: Key) => {
    try {
      const condition = { ConditionExpression: IS_EXPIRED, ExpressionAttributeValues: values };
      await client.delete({ Key: key, ...alias, ...condition }, signal);
      deleted++;
    } catch (error) {
      if (!(error instanceof ConditionFailedError)) throw error;
    }
  };
  await workOff(expired(), deleteOne, { atOnce: 1, signal, onFailure });
  return deleted;
}
