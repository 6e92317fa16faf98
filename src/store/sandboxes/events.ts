import { z } from 'zod';
import type { SandboxEvent } from '../../domain/event.ts';
import { SANDBOX_STATUSES } from '../../domain/sandbox.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { eventKey, historyPk } from './keys.ts';

const EVENT_TTL_SECONDS = 90 * 86_400;

const eventItem = z.object({
  sandbox_id: z.string(),
  generation: z.int(),
  actor: z.string(),
  action: z.string(),
  from_status: z.enum(SANDBOX_STATUSES).optional(),
  to_status: z.enum(SANDBOX_STATUSES),
  at_ms: z.int(),
  request_id: z.string(),
  correlation_id: z.string(),
  holder: z.string().optional(),
  lease_id: z.string().optional(),
  detail: z.string().optional(),
});

/** The part of a transaction that writes an event. */
export const putEvent = (table: string, event: SandboxEvent) => ({
  Put: { TableName: table, Item: toEventItem(event) },
});

const toEventItem = (event: SandboxEvent): Item => ({
  ...eventKey(event.sandboxId, event.generation),
  sandbox_id: event.sandboxId,
  generation: event.generation,
  actor: event.actor,
  action: event.action,
  from_status: event.from,
  to_status: event.to,
  at_ms: event.atMs,
  request_id: event.requestId,
  correlation_id: event.correlationId,
  holder: event.holder,
  lease_id: event.leaseId,
  detail: event.detail,
  ttl: Math.ceil(event.atMs / 1000) + EVENT_TTL_SECONDS,
});

function toEvent(item: Item): SandboxEvent {
  const row = eventItem.parse(item);
  return {
    sandboxId: row.sandbox_id,
    generation: row.generation,
    actor: row.actor,
    action: row.action,
    from: row.from_status,
    to: row.to_status,
    atMs: row.at_ms,
    requestId: row.request_id,
    correlationId: row.correlation_id,
    holder: row.holder,
    leaseId: row.lease_id,
    detail: row.detail,
  };
}

/** The newest `limit` events of a sandbox, oldest first. */
export async function readHistory(
  client: StoreClient,
  sandboxId: string,
  limit: number,
  signal?: AbortSignal,
): Promise<SandboxEvent[]> {
  const { items } = await client.query(
    {
      KeyConditionExpression: 'pk = :pk',
      ExpressionAttributeValues: { ':pk': historyPk(sandboxId) },
      ScanIndexForward: false,
      Limit: limit,
    },
    signal,
  );
  return items.map(toEvent).reverse();
}
