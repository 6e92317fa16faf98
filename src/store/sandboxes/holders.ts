import { type Lease, TRACK_PRINCIPAL } from '../../domain/lease.ts';
import type { AllocatedSandbox, Sandbox } from '../../domain/sandbox.ts';
import type { Key, StoreClient } from '../dynamo/client.ts';
import type { Item, TransactItems } from '../dynamo/documents.ts';
import { idempotencyPk, SANDBOX_SK } from './keys.ts';

/*
 * Where to find what a holder has: in the partition of its default key. That key itself names the sandbox leased under
 * it; for every other lease, under a key that the caller chose, there is a pointer beside it, which comes with the lease
 * and goes when the sandbox has been cleaned:
 *
 *     available ──▶ allocated ──▶ pending_deletion, deletion_failed ──▶ available, deleted
 *                   └───────────────── pointer ──────────────────┘
 *     available ──▶ allocated, and never collected ──▶ available, or kept out of the pool
 *
 * Both are hints: what they name is looked at before anybody is told.
 */
const holderPk = (holder: string): string => idempotencyPk(TRACK_PRINCIPAL, holder, holder);

/**
 * A pointer that nobody removed (a replica of an earlier version ended it) goes by itself. Much longer than any lease with
 * its clean-up, however often that is put off.
 */
const POINTER_TTL_SECONDS = 30 * 86_400;

const pointerKey = (holder: string, sandboxId: string): Key => ({
  pk: holderPk(holder),
  sk: `${SANDBOX_SK}${sandboxId}`,
});

/** Whether the lease is found by its own key: one of several is not, whose key names the first. */
const hasOwnKey = ({ holder, idempotencyPk: keyPk, groupId }: Lease): boolean =>
  keyPk === holderPk(holder) && groupId === undefined;

/** The part of a transaction that leases a sandbox by which its holder finds it. `isKeyless`: the key is another lease's. */
export function putPointer(
  table: string,
  { id, lease }: AllocatedSandbox,
  { isKeyless = false } = {},
): TransactItems {
  if (hasOwnKey(lease) && !isKeyless) return [];
  const ttl = lease.reclaimAt + POINTER_TTL_SECONDS;
  return [{ Put: { TableName: table, Item: { ...pointerKey(lease.holder, id), ttl } } }];
}

/** The part of a transaction that ends the clean-up after a lease: what leads from its holder to the sandbox goes. */
export function dropPointer(table: string, seen: Sandbox | undefined, next: Sandbox): TransactItems {
  if (seen === undefined || seen.status === 'deleted' || !('lease' in seen) || !seen.lease) return [];
  const isEnd = next.status === 'deleted' || !('lease' in next) || next.lease === undefined;
  if (!isEnd || hasOwnKey(seen.lease)) return [];
  return [{ Delete: { TableName: table, Key: pointerKey(seen.lease.holder, seen.id) } }];
}

/**
 * The ids of the sandboxes that a holder has or gave back lately, in their order, strongly consistent; some may be
 * another's by now.
 */
export async function readHeldIds(
  client: StoreClient,
  holder: string,
  signal?: AbortSignal,
): Promise<string[]> {
  const ids = new Set<string>();
  let after: Item | undefined;
  do {
    const page = await client.query(
      {
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': holderPk(holder) },
        ...(after && { ExclusiveStartKey: after }),
      },
      signal,
    );
    for (const { sk, sandbox_id: ofKey } of page.items) {
      // The key of who waits in the line names none.
      if (ofKey !== '') ids.add(typeof ofKey === 'string' ? ofKey : String(sk).slice(SANDBOX_SK.length));
    }
    after = page.lastKey;
  } while (after);
  return [...ids].sort();
}
