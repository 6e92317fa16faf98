import { z } from 'zod';
import { type LineState, NO_STATE, type Place, priorityOf } from '../../domain/line.ts';
import type { Item } from '../dynamo/documents.ts';
import { LINE_IS_AS_SEEN, LINE_IS_NEW } from '../sandboxes/conditions.ts';
import { LINE_STATE_KEY, placeKey } from '../sandboxes/keys.ts';

const stateItem = z.object({ seq: z.int(), frees: z.int() });
export const toLineState = (item: Item | undefined): LineState => (item ? stateItem.parse(item) : NO_STATE);
const toStateItem = (state: LineState): Item => ({ ...LINE_STATE_KEY, ...state });

/** The part of a transaction by which somebody joins: `seq` is the last one's number, if the state is as it was seen. */
export const putState = (table: string, seen: LineState, seq: number) => ({
  Put: {
    TableName: table,
    Item: toStateItem({ ...seen, seq }),
    ...(seen.seq === 0 && seen.frees === 0
      ? { ConditionExpression: LINE_IS_NEW }
      : {
          ConditionExpression: LINE_IS_AS_SEEN,
          ExpressionAttributeValues: { ':seq': seen.seq, ':frees': seen.frees },
        }),
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
  },
});

const placeItem = z.object({
  sk: z.string(),
  key_pk: z.string(),
  principal: z.string(),
  holder: z.string(),
  lab: z.string().optional(),
  name_prefix: z.string().optional(),
  duration_seconds: z.int().optional(),
  heartbeat_seconds: z.int().optional(),
  request_hash: z.string(),
  explicit_key: z.boolean(),
  actor: z.string(),
  request_id: z.string(),
  correlation_id: z.string(),
  attempt: z.string(),
  joined_at_ms: z.int(),
  alive_until_ms: z.int(),
});

/** Reads a place's item. Throws a `ZodError` for one that is not as this version writes it. */
export function toPlace(item: Item): Place {
  const row = placeItem.parse(item);
  return {
    ticket: row.sk,
    priority: priorityOf(row.sk),
    keyPk: row.key_pk,
    request: {
      principal: row.principal,
      holder: row.holder,
      lab: row.lab,
      namePrefix: row.name_prefix,
      durationSeconds: row.duration_seconds,
      heartbeatSeconds: row.heartbeat_seconds,
      hash: row.request_hash,
      explicitKey: row.explicit_key,
    },
    by: { actor: row.actor, requestId: row.request_id, correlationId: row.correlation_id },
    attempt: row.attempt,
    joinedAtMs: row.joined_at_ms,
    aliveUntilMs: row.alive_until_ms,
  };
}

export const toPlaceItem = ({ ticket, keyPk, request, by, ...place }: Place): Item => ({
  ...placeKey(ticket),
  key_pk: keyPk,
  principal: request.principal,
  holder: request.holder,
  lab: request.lab,
  name_prefix: request.namePrefix,
  duration_seconds: request.durationSeconds,
  heartbeat_seconds: request.heartbeatSeconds,
  request_hash: request.hash,
  explicit_key: request.explicitKey,
  actor: by.actor,
  request_id: by.requestId,
  correlation_id: by.correlationId,
  attempt: place.attempt,
  joined_at_ms: place.joinedAtMs,
  alive_until_ms: place.aliveUntilMs,
});
