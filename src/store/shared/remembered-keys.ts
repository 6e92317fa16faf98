import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { isLeaseOver } from '../../domain/lease.ts';
import type { RememberedKey } from '../../domain/resilience/kept-answer.ts';
import type { Key, StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { scanPage } from '../dynamo/scan-page.ts';
import { toKeyRecord } from '../sandboxes/idempotency.ts';

/** The keys of requests that are remembered, those of operators and those of leases. */
export interface RememberedKeys {
  /** In no order. It may be short and still have an `after`. */
  list(
    query: { kind?: RememberedKey['kind'] | undefined; limit: number; after?: Key | undefined },
    signal?: AbortSignal,
  ): Promise<{ keys: RememberedKey[]; after?: Key }>;
}

const SORT_KEYS = { request: 'A', lease: 'I' } as const;

const requestItem = z.object({
  pk: z.string(),
  state: z.enum(['under_way', 'done']),
  operation: z.string(),
  replica: z.string(),
  begun_at_ms: z.number(),
  expires_at_ms: z.number(),
  answer: z.object({ status: z.int() }).optional(),
});

export function createRememberedKeys(client: StoreClient, clock: Clock): RememberedKeys {
  return {
    async list({ kind, limit, after }, signal) {
      const kinds = kind === undefined ? (['request', 'lease'] as const) : [kind];
      const page = await scanPage(
        client,
        {
          FilterExpression: `(begins_with(pk, :requests) OR begins_with(pk, :leases)) AND sk IN (${kinds.map((each) => `:${each}`).join(', ')})`,
          ExpressionAttributeValues: {
            ':requests': 'ANSWER#',
            ':leases': 'I#',
            ...Object.fromEntries(kinds.map((each) => [`:${each}`, SORT_KEYS[each]])),
          },
        },
        { limit, after },
        signal,
      );
      const nowMs = clock.nowMs();
      // TTL is late by design: what is over its time is gone for everybody who asks.
      const keys = page.items
        .map((item) => toRemembered(item, nowMs))
        .filter(({ untilMs }) => untilMs > nowMs);
      return { keys, ...(page.after && { after: page.after }) };
    },
  };
}

/** A record without the key itself, which only its hash stands for. */
function toRemembered(item: Item, nowMs: number): RememberedKey {
  if (item.sk === SORT_KEYS.request) {
    const row = requestItem.parse(item);
    return {
      kind: 'request',
      id: idOf(row.pk),
      state: row.state,
      operation: row.operation,
      replica: row.replica,
      beganAtMs: row.begun_at_ms,
      untilMs: row.expires_at_ms,
      answerStatus: row.answer?.status,
    };
  }
  const record = toKeyRecord(item);
  return {
    kind: 'lease',
    id: idOf(record.pk),
    state: isLeaseOver(record, nowMs) ? 'lease_over' : 'leased',
    sandboxId: record.sandboxId,
    leaseId: record.leaseId,
    beganAtMs: record.allocatedAt * 1000,
    untilMs: (record.rememberedUntil ?? record.expiresAt) * 1000,
    isChosen: record.rememberedUntil !== undefined,
  };
}

const idOf = (pk: string): string => pk.slice(pk.indexOf('#') + 1);
