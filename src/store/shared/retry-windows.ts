import { z } from 'zod';
import type { NewId } from '../../clock.ts';
import type { EndedWindow, OpenWindow, RetryWindowStore } from '../../domain/resilience/retry-window.ts';
import type { Key, StoreClient } from '../dynamo/client.ts';
import { CONDITION_FAILED, ConditionFailedError, TransactionCancelledError } from '../dynamo/errors.ts';
import { IS_FIRST_DELIVERY, IS_NEW, IS_THERE } from '../sandboxes/conditions.ts';

const MAX_READ = 1_000;
const MAX_SHOWN = 100;
/** From the last attempt, or from the end. */
const TTL_SECONDS = 86_400;
const TIME_DIGITS = 13;

const OPEN_PK = 'RETRY#OPEN';
const ENDED_PK = 'RETRY#ENDED';
const openKey = (task: string): Key => ({ pk: OPEN_PK, sk: task });
const endedKey = ({ endedAtMs, task }: EndedWindow): Key => ({
  pk: ENDED_PK,
  sk: `${Math.floor(endedAtMs).toString().padStart(TIME_DIGITS, '0')}#${task}`,
});

const openItem = z.object({
  task: z.string(),
  first_attempt_at_ms: z.number(),
  last_attempt_at_ms: z.number(),
  attempts: z.int(),
  ttl: z.int(),
});
const endedItem = openItem.extend({ result: z.enum(['success', 'failed']), ended_at_ms: z.number() });

/** The retry windows of the replicas that share `client`'s table. */
export function createRetryWindowStore(client: StoreClient, newId: NewId): RetryWindowStore {
  return {
    async add({ task, firstAttemptAtMs, lastAttemptAtMs, attempts }, signal) {
      const deliveryId = newId();
      try {
        const item = await client.update(
          {
            Key: openKey(task),
            UpdateExpression:
              'SET task = :task, first_attempt_at_ms = if_not_exists(first_attempt_at_ms, :first), ' +
              'last_attempt_at_ms = :last, delivery_id = :delivery, #ttl = :ttl ADD attempts :attempts',
            ConditionExpression: IS_FIRST_DELIVERY,
            ExpressionAttributeNames: { '#ttl': 'ttl' },
            ExpressionAttributeValues: {
              ':task': task,
              ':first': firstAttemptAtMs,
              ':last': lastAttemptAtMs,
              ':attempts': attempts,
              ':delivery': deliveryId,
              ':ttl': ttlAfter(lastAttemptAtMs),
            },
            ReturnValues: 'ALL_NEW',
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
          signal,
        );
        return toOpen(openItem.parse(item));
      } catch (error) {
        // Our own write, whose answer was lost and which was sent again.
        if (error instanceof ConditionFailedError) return toOpen(openItem.parse(error.item));
        throw error;
      }
    },

    async end(window, wasShared, signal) {
      const Put = {
        TableName: client.table,
        Item: { ...endedKey(window), ...toItem(window), ttl: ttlAfter(window.endedAtMs) },
        ConditionExpression: IS_NEW,
      };
      const Delete = {
        TableName: client.table,
        Key: openKey(window.task),
        ConditionExpression: IS_THERE,
      };
      try {
        await client.transact([...(wasShared ? [{ Delete }] : []), { Put }], signal);
      } catch (error) {
        // It is over already, by our own hand (the answer was lost) or by another replica's.
        const isOver =
          error instanceof TransactionCancelledError &&
          error.reasons.some(({ code }) => code === CONDITION_FAILED);
        if (!isOver) throw error;
      }
    },

    async readOpen(nowMs, signal) {
      const rows = await read(OPEN_PK, { Limit: MAX_READ }, signal);
      return rows
        .map((row) => openItem.parse(row))
        .filter(({ ttl }) => ttl * 1000 > nowMs)
        .map(toOpen);
    },

    async readEnded(nowMs, signal) {
      const rows = await read(ENDED_PK, { Limit: MAX_SHOWN, ScanIndexForward: false }, signal);
      return rows
        .map((row) => endedItem.parse(row))
        .filter(({ ttl }) => ttl * 1000 > nowMs)
        .map((row) => ({ ...toOpen(row), result: row.result, endedAtMs: row.ended_at_ms }));
    },
  };

  async function read(pk: string, more: { Limit: number; ScanIndexForward?: boolean }, signal: AbortSignal) {
    const { items } = await client.query(
      {
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': pk },
        ConsistentRead: true,
        ...more,
      },
      signal,
    );
    return items;
  }
}

const ttlAfter = (ms: number): number => Math.ceil(ms / 1000) + TTL_SECONDS;

const toItem = (window: EndedWindow) => ({
  task: window.task,
  first_attempt_at_ms: window.firstAttemptAtMs,
  last_attempt_at_ms: window.lastAttemptAtMs,
  attempts: window.attempts,
  result: window.result,
  ended_at_ms: window.endedAtMs,
});

const toOpen = (row: z.infer<typeof openItem>): OpenWindow => ({
  task: row.task,
  firstAttemptAtMs: row.first_attempt_at_ms,
  lastAttemptAtMs: row.last_attempt_at_ms,
  attempts: row.attempts,
});
