import { type AttributeValue, ScanCommand, type ScanCommandOutput } from '@aws-sdk/client-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { expect } from 'vitest';
import type { StoreClient } from '../../../src/store/dynamo/client.ts';
import type { Item } from '../../../src/store/dynamo/documents.ts';
import { GIVEN_BACK } from '../../../src/store/sandboxes/idempotency.ts';

/** Everything in a small table, as it is stored. */
export async function readTable({ table, raw }: Pick<StoreClient, 'table' | 'raw'>): Promise<Item[]> {
  const items: Item[] = [];
  let after: Record<string, AttributeValue> | undefined;
  do {
    const page: ScanCommandOutput = await raw.send(
      new ScanCommand({
        TableName: table,
        ConsistentRead: true,
        ...(after && { ExclusiveStartKey: after }),
      }),
    );
    for (const item of page.Items ?? []) items.push(unmarshall(item));
    after = page.LastEvaluatedKey;
  } while (after);
  return items;
}

/** A lease as the table has it. */
export interface FoundLease {
  sandboxId: string;
  holder: string;
  leaseId: string;
}

/**
 * The leases in a table. Expects that keys and leased sandboxes point at each other, one to one, and that each lease
 * was recorded by exactly one event.
 */
export async function auditLeases(client: Pick<StoreClient, 'table' | 'raw'>): Promise<FoundLease[]> {
  const items = await readTable(client);
  const of = (prefix: string) => items.filter((item) => String(item.pk).startsWith(prefix));
  const leases = of('B#').filter((item) => item.status === 'allocated');
  // A key goes on telling of a lease that was given back; what is beside it points at a sandbox, and is none.
  const keys = of('I#').filter((item) => item.sk === 'I' && item.expires_at !== GIVEN_BACK);
  const ofKeys = keys.flatMap(({ members, ...key }) => {
    // Of several leases under one key some may be over; as many as it says are not.
    const of = (members ?? [key]) as Item[];
    const live = of.filter(
      (member) => !members || leases.some((lease) => lease.lease_id === member.lease_id),
    );
    expect(live, `leases of ${key.pk}`).toHaveLength(members ? Number(key.live_leases) : 1);
    return live.map((member) => [key.pk, member.sandbox_id, member.lease_id]);
  });
  expect(ofKeys.sort(), 'keys and leases').toEqual(
    leases.map((lease) => [lease.idempotency_pk, lease.id, lease.lease_id]).sort(),
  );
  for (const { id, lease_id } of leases) {
    const events = of('H#').filter((event) => event.action === 'allocate' && event.lease_id === lease_id);
    expect(
      events.map((event) => event.sandbox_id),
      `events of the lease of ${id}`,
    ).toEqual([id]);
  }
  return leases.map((lease) => ({
    sandboxId: String(lease.id),
    holder: String(lease.allocated_to_track),
    leaseId: String(lease.lease_id),
  }));
}
