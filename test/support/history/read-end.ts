import type { SandboxEvent } from '../../../src/domain/event.ts';
import { SANDBOX_STATUSES, type SandboxStatus } from '../../../src/domain/sandbox.ts';
import type { StoreClient } from '../../../src/store/dynamo/client.ts';
import type { Item } from '../../../src/store/dynamo/documents.ts';
import { toPlace } from '../../../src/store/line/place-items.ts';
import { toKeyRecord } from '../../../src/store/sandboxes/idempotency.ts';
import { toSandbox } from '../../../src/store/sandboxes/items.ts';
import { LINE_STATE_KEY } from '../../../src/store/sandboxes/keys.ts';
import { readTable } from '../store/table-audit.ts';
import type { History } from './history.ts';

/** What a table remembers, for a {@link History}. Nobody may write meanwhile. Throws where a record cannot be read. */
export async function readEnd(
  client: Pick<StoreClient, 'table' | 'raw'>,
): Promise<Pick<History, 'sandboxes' | 'keys' | 'events' | 'places'>> {
  const items = await readTable(client);
  const of = (prefix: string) => items.filter((item) => String(item.pk).startsWith(prefix));
  return {
    sandboxes: of('B#').map(toSandbox),
    keys: of('I#')
      .filter(({ sk }) => sk === 'I')
      .map(toKeyRecord),
    events: of('H#').map(toEvent),
    places: of('LINE#')
      .filter(({ sk }) => sk !== LINE_STATE_KEY.sk)
      .map(toPlace),
  };
}

const toEvent = (item: Item): SandboxEvent => ({
  sandboxId: String(item.sandbox_id),
  generation: Number(item.generation),
  actor: String(item.actor),
  action: String(item.action),
  from: optional(item.from_status, statusOf),
  to: statusOf(item.to_status),
  atMs: Number(item.at_ms),
  requestId: String(item.request_id),
  correlationId: String(item.correlation_id),
  holder: optional(item.holder, String),
  leaseId: optional(item.lease_id, String),
  detail: optional(item.detail, String),
});

const optional = <T>(value: unknown, read: (value: unknown) => T): T | undefined =>
  value === undefined ? undefined : read(value);

function statusOf(value: unknown): SandboxStatus {
  const status = SANDBOX_STATUSES.find((each) => each === value);
  if (status === undefined) throw new Error(`no status of a sandbox: ${String(value)}`);
  return status;
}
