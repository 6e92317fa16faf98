import { z } from 'zod';
import type { Clock, NewId } from '../../clock.ts';
import { EFFECT_STATES, type EffectHold, type EffectRecords } from '../../domain/resilience/effect.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { EFFECT_IS_FREE, EFFECT_IS_MINE } from '../sandboxes/conditions.ts';

/** What stands in a record. */
export const effectItem = z.object({
  state: z.enum(EFFECT_STATES),
  owner: z.string(),
  fence: z.int(),
  lease_until_ms: z.number(),
  /** As JSON text: DynamoDB knows no difference between an absent value and null in some places. */
  result: z.string().optional(),
});

/** The effect records of `client`'s table. */
export function createEffectRecords(client: StoreClient, clock: Clock, newId: NewId): EffectRecords {
  const ttlIn = (ttlMs: number) => Math.ceil((clock.nowMs() + ttlMs) / 1000);

  const settle = async (hold: EffectHold, state: 'completed' | 'failed', outcome: Record<string, string>) => {
    const names = Object.keys(outcome);
    try {
      await client.update({
        Key: { pk: hold.pk, sk: 'E' },
        UpdateExpression: `SET changed_at_ms = :now, ${['state', 'ttl', ...names].map((name) => `#${name} = :${name}`).join(', ')}`,
        ConditionExpression: EFFECT_IS_MINE,
        ExpressionAttributeNames: {
          '#state': 'state',
          '#ttl': 'ttl',
          '#owner': 'owner',
          ...Object.fromEntries(names.map((name) => [`#${name}`, name])),
        },
        ExpressionAttributeValues: {
          ':state': state,
          ':ttl': ttlIn(hold.ttlMs),
          ':now': clock.nowMs(),
          ':owner': hold.owner,
          ':fence': hold.fence,
          ...Object.fromEntries(names.map((name) => [`:${name}`, outcome[name]])),
        },
      });
      return true;
    } catch (error) {
      if (error instanceof ConditionFailedError) return false;
      throw error;
    }
  };

  return {
    async take(pk, { leaseMs, ttlMs }, signal) {
      const nowMs = clock.nowMs();
      const owner = newId();
      const untilMs = nowMs + leaseMs;
      try {
        const before = await client.update(
          {
            Key: { pk, sk: 'E' },
            UpdateExpression:
              'SET #state = :in_progress, #owner = :owner, lease_until_ms = :until, changed_at_ms = :now, #ttl = :ttl ADD fence :one',
            ConditionExpression: EFFECT_IS_FREE,
            ExpressionAttributeNames: { '#state': 'state', '#owner': 'owner', '#ttl': 'ttl' },
            ExpressionAttributeValues: {
              ':in_progress': 'in_progress',
              ':failed': 'failed',
              ':owner': owner,
              ':until': untilMs,
              ':now': nowMs,
              ':now_seconds': Math.floor(nowMs / 1000),
              ':ttl': ttlIn(Math.max(leaseMs, ttlMs)),
              ':one': 1,
            },
            ReturnValues: 'ALL_OLD',
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
          signal,
        );
        // The embedded engine gives the keys alone where there was nothing.
        const last = before?.state === undefined ? undefined : effectItem.parse(before);
        const isTakenOver = last?.state === 'in_progress';
        return {
          type: 'taken',
          hold: { pk, owner, fence: (last?.fence ?? 0) + 1, isTakenOver, untilMs, ttlMs },
        };
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
        const record = effectItem.parse(error.item);
        if (record.state === 'completed') {
          return {
            type: 'completed',
            result: record.result === undefined ? undefined : JSON.parse(record.result),
          };
        }
        // Our own write, whose answer was lost. What was there before it is lost, too, so the far side is asked.
        if (record.owner === owner) {
          const { fence, lease_until_ms } = record;
          return {
            type: 'taken',
            hold: { pk, owner, fence, isTakenOver: fence > 1, untilMs: lease_until_ms, ttlMs },
          };
        }
        return { type: 'in_progress', freeInMs: Math.max(0, record.lease_until_ms - nowMs) };
      }
    },
    isOver: ({ untilMs }) => clock.nowMs() >= untilMs,
    complete: (hold, result) =>
      settle(hold, 'completed', result === undefined ? {} : { result: JSON.stringify(result) }),
    fail: (hold, error) => settle(hold, 'failed', { error }),
  };
}
