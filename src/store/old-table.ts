import { z } from 'zod';
import type { OldRecord } from '../domain/old-record.ts';
import type { StoreClient } from './dynamo/client.ts';
import type { Item } from './dynamo/documents.ts';

/*
 * The Python broker's table as it is assumed to be: one item per sandbox, with `pk` = `SBX#<sandbox id>` and
 * `sk` = `META`. docs/migration.md lists the attributes; check them against the table at hand.
 */

const text = z.string().min(1);
/** An empty text and NULL are Python's ways to say that there is none. */
const orNone = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === null || value === '' ? undefined : value), schema.optional());
/** Epoch seconds, whole or not, as a number or as its text; never milliseconds. */
const seconds = orNone(
  z.coerce
    .number()
    .positive()
    .lt(1e11)
    .transform((value) => Math.floor(value)),
);

const oldItem = z.object({
  sandbox_id: text,
  name: text,
  external_id: text,
  status: text,
  allocated_to_track: orNone(text),
  track_name: orNone(text),
  allocated_at: seconds,
  expires_at: seconds,
  deletion_requested_at: seconds,
  deletion_retry_count: orNone(z.coerce.number().int().nonnegative()),
  sfdc_account_id: orNone(text),
});

/** One item of the old table: a sandbox, or what is wrong with it. `id` is the item's key. */
export type OldEntry = { id: string; record: OldRecord } | { id: string; problem: string };

/** Every sandbox of the old table, page by page, consistently read; items of other kinds are left out. */
export async function* readOldTable(client: StoreClient, signal: AbortSignal): AsyncGenerator<OldEntry[]> {
  let after: Item | undefined;
  do {
    const page = await client.scan(
      {
        ConsistentRead: true,
        FilterExpression: 'begins_with(pk, :sandbox) AND sk = :meta',
        ExpressionAttributeValues: { ':sandbox': 'SBX#', ':meta': 'META' },
        ...(after && { ExclusiveStartKey: after }),
      },
      signal,
    );
    yield page.items.map(toEntry);
    after = page.lastKey;
  } while (after);
}

function toEntry(item: Item): OldEntry {
  const id = String(item['pk']).slice('SBX#'.length);
  const read = oldItem.safeParse(item);
  if (!read.success) {
    const fields = new Set(read.error.issues.map(({ path }) => path.join('.')));
    return { id, problem: `cannot be read: ${[...fields].join(', ')}` };
  }
  const row = read.data;
  if (row.sandbox_id !== id) return { id, problem: `calls itself ${row.sandbox_id}` };
  return {
    id,
    record: {
      sandboxId: row.sandbox_id,
      name: row.name,
      externalId: row.external_id,
      status: row.status,
      holder: row.allocated_to_track,
      lab: row.track_name,
      allocatedAt: row.allocated_at,
      expiresAt: row.expires_at,
      deletionRequestedAt: row.deletion_requested_at,
      deletionRetries: row.deletion_retry_count,
      metadata: row.sfdc_account_id === undefined ? {} : { sfdc_account_id: row.sfdc_account_id },
    },
  };
}
