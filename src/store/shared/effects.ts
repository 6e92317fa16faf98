import { z } from 'zod';
import type { Clock, NewId } from '../../clock.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { EFFECT_IS_FREE, EFFECT_IS_MINE } from '../sandboxes/conditions.ts';

const TTL_SECONDS = 72 * 3_600;

/** The right to carry an effect out. `fence` grows with every holder. */
export interface EffectHold {
  pk: string;
  owner: string;
  fence: number;
  /** Its last holder went silent: nobody knows whether it happened. */
  isTakenOver: boolean;
  /** The end of the right, epoch milliseconds. */
  untilMs: number;
}

/** What taking an effect came to. `result` is the JSON that the effect was completed with. */
export type EffectTaken =
  | { type: 'taken'; hold: EffectHold }
  | { type: 'completed'; result: unknown }
  | { type: 'in_progress'; freeInMs: number };

/** The records of side effects, one for each, shared by all replicas and kept for 72 hours. */
export interface EffectRecords {
  /** Takes the effect for `leaseMs`, unless it is completed or somebody else's. */
  take(pk: string, leaseMs: number, signal?: AbortSignal): Promise<EffectTaken>;
  /** Is the time of the right over? Somebody else may have taken over by then. */
  isOver(hold: EffectHold): boolean;
  /** False when somebody else has taken over meanwhile. */
  complete(hold: EffectHold, result: unknown): Promise<boolean>;
  /** It did not happen: anybody may try again at once. False when somebody else has taken over meanwhile. */
  fail(hold: EffectHold, error: string): Promise<boolean>;
}

const recordItem = z.object({
  state: z.enum(['in_progress', 'completed', 'failed']),
  owner: z.string(),
  fence: z.int(),
  lease_until_ms: z.number(),
  /** As JSON text: DynamoDB knows no difference between an absent value and null in some places. */
  result: z.string().optional(),
});

/** The effect records of `client`'s table. */
export function createEffectRecords(client: StoreClient, clock: Clock, newId: NewId): EffectRecords {
  const ttl = () => Math.ceil(clock.nowMs() / 1000) + TTL_SECONDS;

  const settle = async (hold: EffectHold, state: 'completed' | 'failed', outcome: Record<string, string>) => {
    const names = Object.keys(outcome);
    try {
      await client.update({
        Key: { pk: hold.pk, sk: 'E' },
        UpdateExpression: `SET ${['state', 'ttl', ...names].map((name) => `#${name} = :${name}`).join(', ')}`,
        ConditionExpression: EFFECT_IS_MINE,
        ExpressionAttributeNames: {
          '#state': 'state',
          '#ttl': 'ttl',
          '#owner': 'owner',
          ...Object.fromEntries(names.map((name) => [`#${name}`, name])),
        },
        ExpressionAttributeValues: {
          ':state': state,
          ':ttl': ttl(),
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
    async take(pk, leaseMs, signal) {
      const nowMs = clock.nowMs();
      const owner = newId();
      const untilMs = nowMs + leaseMs;
      try {
        const before = await client.update(
          {
            Key: { pk, sk: 'E' },
            UpdateExpression:
              'SET #state = :in_progress, #owner = :owner, lease_until_ms = :until, #ttl = :ttl ADD fence :one',
            ConditionExpression: EFFECT_IS_FREE,
            ExpressionAttributeNames: { '#state': 'state', '#owner': 'owner', '#ttl': 'ttl' },
            ExpressionAttributeValues: {
              ':in_progress': 'in_progress',
              ':failed': 'failed',
              ':owner': owner,
              ':until': untilMs,
              ':now': nowMs,
              ':now_seconds': Math.floor(nowMs / 1000),
              ':ttl': ttl(),
              ':one': 1,
            },
            ReturnValues: 'ALL_OLD',
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
          signal,
        );
        // The embedded engine gives the keys alone where there was nothing.
        const last = before?.state === undefined ? undefined : recordItem.parse(before);
        const isTakenOver = last?.state === 'in_progress';
        return { type: 'taken', hold: { pk, owner, fence: (last?.fence ?? 0) + 1, isTakenOver, untilMs } };
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
        const record = recordItem.parse(error.item);
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
            hold: { pk, owner, fence, isTakenOver: fence > 1, untilMs: lease_until_ms },
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
