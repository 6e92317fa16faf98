import { z } from 'zod';
import type { NewId } from '../../clock.ts';
import { POOL_LEVELS, type PoolLevel } from '../../domain/inventory.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { LEVEL_IS_OLDER_OR_NEW } from '../sandboxes/conditions.ts';
import { POOL_LEVEL_KEY } from '../sandboxes/keys.ts';

/** The level that the replicas saw last. Whoever brings a change is the only one to learn of it. */
export interface PoolLevels {
  /**
   * Notes the level as of a count, epoch milliseconds, and gives the level before, `ok` the first time. Undefined when a
   * later count was noted already.
   */
  note(seen: { level: PoolLevel; asOfMs: number }, signal?: AbortSignal): Promise<PoolLevel | undefined>;
}

const levelItem = z.object({ previous_level: z.enum(POOL_LEVELS), write_id: z.string() });

/** The level of the pool in `client`'s table. */
export function createPoolLevels(client: StoreClient, newId: NewId): PoolLevels {
  return {
    async note({ level, asOfMs }, signal) {
      const writeId = newId();
      try {
        const item = await client.update(
          {
            Key: POOL_LEVEL_KEY,
            UpdateExpression:
              'SET previous_level = if_not_exists(free_level, :ok), free_level = :level, as_of_ms = :asOf, write_id = :writeId',
            ConditionExpression: LEVEL_IS_OLDER_OR_NEW,
            ExpressionAttributeValues: {
              ':ok': 'ok',
              ':level': level,
              ':asOf': asOfMs,
              ':writeId': writeId,
            },
            ReturnValues: 'ALL_NEW',
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
          signal,
        );
        return levelItem.parse(item).previous_level;
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
        // Our own write, whose answer was lost and which was sent again: the change is still ours to tell.
        return error.item?.write_id === writeId ? levelItem.parse(error.item).previous_level : undefined;
      }
    },
  };
}
