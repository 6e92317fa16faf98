import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { TURN_IS_FREE, TURN_IS_FREE_AND_DUE, TURN_IS_MINE } from '../sandboxes/conditions.ts';
import { turnKey } from '../sandboxes/keys.ts';

/** A held turn. `fence` grows with every holder, so that what an earlier holder still does can be told apart. */
export interface Turn {
  loop: string;
  fence: number;
  /** The end of its time unless it is renewed, epoch milliseconds. */
  untilMs: number;
}

/** Who may run a loop at the moment. It saves work; safety comes from generations and claims. */
export interface Turns {
  /** What the times of turns are kept by. */
  readonly clock: Clock;
  /**
   * Takes the turn for `ttlMs`. `onlyIfDue`: not if another replica served the interval already.
   * Returns undefined with the milliseconds until it may be free when it is not to be had.
   */
  take(
    loop: string,
    options: { ttlMs: number; onlyIfDue: boolean },
    signal?: AbortSignal,
  ): Promise<{ turn: Turn } | { turn: undefined; freeInMs: number }>;
  /** Holds it for another `ttlMs`; false when it was lost. */
  renew(turn: Turn, ttlMs: number, signal: AbortSignal): Promise<boolean>;
  /** Gives it up. `nextRunAtMs`: when the next run is due on any replica; absent leaves that as it is. */
  giveUp(turn: Turn, nextRunAtMs?: number): Promise<void>;
}

const turnItem = z.object({ until_ms: z.number(), fence: z.int(), take_id: z.string() });

/** The turns of the replicas that share `client`'s table. */
export function createTurns(client: StoreClient, replicaId: string, clock: Clock): Turns {
  let takes = 0;
  /** Takes that may have been granted without our ever learning it, by loop. The next one goes by the same id. */
  const inDoubt = new Map<string, string>();

  /** Changes a turn that is still held; false when it is not. */
  const change = async (turn: Turn, expression: string, values: Item, signal?: AbortSignal) => {
    try {
      await client.update(
        {
          Key: turnKey(turn.loop),
          UpdateExpression: expression,
          ConditionExpression: TURN_IS_MINE,
          ExpressionAttributeValues: { ...values, ':fence': turn.fence, ':holder': replicaId },
        },
        signal,
      );
      return true;
    } catch (error) {
      if (error instanceof ConditionFailedError) return false;
      throw error;
    }
  };

  return {
    clock,
    async take(loop, { ttlMs, onlyIfDue }, signal) {
      const nowMs = clock.nowMs();
      const untilMs = nowMs + ttlMs;
      const takeId = inDoubt.get(loop) ?? `${replicaId}/${++takes}`;
      inDoubt.delete(loop);
      try {
        const item = await client.update(
          {
            Key: turnKey(loop),
            UpdateExpression: 'SET holder = :holder, take_id = :takeId, until_ms = :until ADD fence :one',
            ConditionExpression: onlyIfDue ? TURN_IS_FREE_AND_DUE : TURN_IS_FREE,
            ExpressionAttributeValues: {
              ':holder': replicaId,
              ':takeId': takeId,
              ':until': untilMs,
              ':one': 1,
              ':now': nowMs,
            },
            ReturnValues: 'ALL_NEW',
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
          signal,
        );
        return { turn: { loop, fence: turnItem.parse(item).fence, untilMs } };
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) {
          inDoubt.set(loop, takeId);
          throw error;
        }
        const held = turnItem.parse(error.item);
        if (held.take_id === takeId) {
          // Our own write, whose answer was lost and which was sent again; after an outage it has less time left.
          const turn = { loop, fence: held.fence, untilMs };
          const isLate = held.until_ms < untilMs;
          if (!isLate || (await change(turn, 'SET until_ms = :until', { ':until': untilMs }, signal)))
            return { turn };
        }
        return { turn: undefined, freeInMs: Math.max(0, held.until_ms - nowMs) };
      }
    },
    async renew(turn, ttlMs, signal) {
      return await change(turn, 'SET until_ms = :until', { ':until': clock.nowMs() + ttlMs }, signal);
    },
    async giveUp(turn, nextRunAtMs) {
      // Without a holder, so that a renewal that is still on its way does not take it again.
      const next = nextRunAtMs === undefined ? '' : ', next_run_at_ms = :next';
      const values = { ':until': 0, ...(nextRunAtMs !== undefined && { ':next': nextRunAtMs }) };
      await change(turn, `SET until_ms = :until${next} REMOVE holder`, values);
    },
  };
}
