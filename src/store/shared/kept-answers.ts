import { z } from 'zod';
import type { Clock, NewId } from '../../clock.ts';
import type { Beginning, KeptAnswer, KeptAnswers, Undertaking } from '../../domain/resilience/kept-answer.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { ANSWER_IS_MINE_TO_GIVE, REQUEST_MAY_BEGIN } from '../sandboxes/conditions.ts';
import { keptAnswerKey } from '../sandboxes/keys.ts';

export interface KeptAnswersOptions {
  clock: Clock;
  newId: NewId;
  /** Names this replica in the records. */
  replicaId: string;
  /** How long an answer is kept from completion, and an attempt without an end from its last sign of life. */
  ttlMs: number;
}

/** TTL removes a record whose time is over; it may never do so early, whichever clock is ahead. */
const TTL_GRACE_MS = 3_600_000;

const recordItem = z.object({
  state: z.enum(['under_way', 'done']),
  attempt: z.string(),
  fingerprint: z.string(),
  begun_at_ms: z.int(),
});
const timesItem = z.object({
  state: z.enum(['under_way', 'done']),
  expires_at_ms: z.number(),
  lease_until_ms: z.number().default(0),
});
const answerItem = z.object({
  status: z.int(),
  headers: z.record(z.string(), z.string()),
  body: z.string().optional(),
});

/** The kept answers of `client`'s table, one record for each principal and key. */
export function createKeptAnswers(client: StoreClient, options: KeptAnswersOptions): KeptAnswers {
  const { clock, newId, ttlMs } = options;
  if (!(ttlMs > 0)) throw new RangeError(`ttlMs must be > 0, not ${ttlMs}`);

  const keyOf = ({ request }: Pick<Undertaking, 'request'>) => keptAnswerKey(request.principal, request.key);
  const lifetime = (nowMs: number, leaseMs = 0) => {
    const expiresAtMs = nowMs + Math.max(ttlMs, leaseMs);
    return { expiresAtMs, ttl: Math.ceil((expiresAtMs + TTL_GRACE_MS) / 1000) };
  };

  /** Writes to the record of an undertaking that is still ours; false when it is not. */
  async function change(
    undertaking: Undertaking,
    assignments: Item,
    signal?: AbortSignal,
  ): Promise<{ mine: boolean; item?: Item | undefined }> {
    const names = Object.keys(assignments);
    const removed = assignments.state === 'done' ? ' REMOVE lease_until_ms' : '';
    try {
      await client.update(
        {
          Key: keyOf(undertaking),
          UpdateExpression: `SET ${names.map((name) => `#${name} = :${name}`).join(', ')}${removed}`,
          ConditionExpression: ANSWER_IS_MINE_TO_GIVE,
          ExpressionAttributeNames: {
            '#state': 'state',
            ...Object.fromEntries(names.map((name) => [`#${name}`, name])),
          },
          ExpressionAttributeValues: {
            ':attempt': undertaking.attemptId,
            ':under_way': 'under_way',
            ...Object.fromEntries(names.map((name) => [`:${name}`, assignments[name]])),
          },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        },
        signal,
      );
      return { mine: true };
    } catch (error) {
      if (!(error instanceof ConditionFailedError)) throw error;
      return { mine: false, item: error.item };
    }
  }

  return {
    async begin(request, leaseMs, signal) {
      const nowMs = clock.nowMs();
      const undertaking: Undertaking = { request, attemptId: newId() };
      const { expiresAtMs, ttl } = lifetime(nowMs, leaseMs);
      try {
        await client.put(
          {
            Item: {
              ...keyOf(undertaking),
              state: 'under_way',
              operation: request.operation,
              fingerprint: request.fingerprint,
              attempt: undertaking.attemptId,
              replica: options.replicaId,
              begun_at_ms: nowMs,
              lease_until_ms: nowMs + leaseMs,
              expires_at_ms: expiresAtMs,
              ttl,
            },
            ConditionExpression: REQUEST_MAY_BEGIN,
            ExpressionAttributeNames: { '#state': 'state' },
            ExpressionAttributeValues: {
              ':now': nowMs,
              ':done': 'done',
              ':fingerprint': request.fingerprint,
            },
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
          signal,
        );
        return { type: 'begun', undertaking };
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
        return judge(undertaking, error.item);
      }
    },

    async renew(undertaking, leaseMs, signal) {
      const nowMs = clock.nowMs();
      const { expiresAtMs, ttl } = lifetime(nowMs, leaseMs);
      const renewal = { lease_until_ms: nowMs + leaseMs, expires_at_ms: expiresAtMs, ttl };
      return (await change(undertaking, renewal, signal)).mine;
    },

    async keep(undertaking, answer, signal) {
      const { expiresAtMs, ttl } = lifetime(clock.nowMs());
      const kept = { state: 'done', answer: withoutHoles(answer), expires_at_ms: expiresAtMs, ttl };
      const { mine, item } = await change(undertaking, kept, signal);
      // The answer to our own write was lost, and it was sent again.
      return mine || (item?.attempt === undertaking.attemptId && item?.state === 'done');
    },

    async find(principal, key, signal) {
      const item = await client.get(keptAnswerKey(principal, key), signal);
      const nowMs = clock.nowMs();
      if (item === undefined) return undefined;
      const { state, expires_at_ms: expiresAtMs, lease_until_ms: leaseUntilMs } = timesItem.parse(item);
      if (expiresAtMs <= nowMs && (state === 'done' || leaseUntilMs < nowMs)) return undefined;
      return { answer: state === 'done' ? answerItem.parse(item.answer) : undefined };
    },

    async forget(undertaking, signal) {
      try {
        await client.delete(
          {
            Key: keyOf(undertaking),
            ConditionExpression: ANSWER_IS_MINE_TO_GIVE,
            ExpressionAttributeNames: { '#state': 'state' },
            ExpressionAttributeValues: { ':attempt': undertaking.attemptId, ':under_way': 'under_way' },
          },
          signal,
        );
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
      }
    },
  };
}

const withoutHoles = ({ status, headers, body }: KeptAnswer): Item => ({
  status,
  headers,
  ...(body !== undefined && { body }),
});

/** Why a request may not begin, from the record that stands in its way. */
function judge(undertaking: Undertaking, item: Item | undefined): Beginning {
  const record = recordItem.parse(item);
  // Our own write, whose answer was lost and which was sent again.
  if (record.attempt === undertaking.attemptId) return { type: 'begun', undertaking };
  if (record.fingerprint !== undertaking.request.fingerprint) return { type: 'other_request' };
  if (record.state === 'under_way') return { type: 'under_way', sinceMs: record.begun_at_ms };
  return { type: 'done', answer: answerItem.parse(item?.answer) };
}
