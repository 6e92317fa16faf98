import { randomUUID } from 'node:crypto';
import { BatchWriteItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { leaseTimes } from '../../src/domain/lease.ts';
import type { AvailableSandbox, Sandbox } from '../../src/domain/sandbox.ts';
import { allocate, create } from '../../src/domain/transitions.ts';
import { createSimulatedProvider } from '../../src/provider/simulated.ts';
import { createStoreClient, type StoreClient } from '../../src/store/dynamo/client.ts';
import { toSandboxItem } from '../../src/store/sandboxes/items.ts';
import { createSandboxReads } from '../../src/store/sandboxes/reads.ts';
import { noteStocked } from '../../src/store/shared/stock.ts';
import { openTable } from '../../src/store/table.ts';
import { inParallel } from './load.ts';

export const BUCKETS = 16;
export const LOCAL = { region: 'local', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
export const LEASE_TERMS = { leaseSeconds: 4 * 3_600, bufferSeconds: 1_800 };
const BATCH = 25;
const BATCHES_AT_ONCE = 8;
/** More than any round adds to a record's generation. */
const GENERATIONS_PER_ROUND = 1_000;

/** A table on the engine, filled past the broker: what the bench has to arrange is not what it measures. */
export interface Pool {
  readonly endpoint: string;
  readonly table: string;
  readonly size: number;
  /** The sandboxes that are not leased from the outset, as they are after the last `restore`. */
  free(): AvailableSandbox[];
  /** Makes these free again, whatever became of them. */
  restore(sandboxIds: Iterable<string>): Promise<void>;
  countAllocated(): Promise<number>;
  /** Those that are free at this moment. */
  countFree(): Promise<number>;
  close(): void;
}

/**
 * A fresh table with `size` sandboxes, the same as a simulated provider of that size has: a broker that syncs finds
 * nothing to change. The first `leased` of them have a holder already.
 */
export async function createPool(endpoint: string, size: number, leased = 0): Promise<Pool> {
  const client = createStoreClient({ ...LOCAL, endpoint, table: `Bench-${randomUUID()}` });
  await openTable(client, { buckets: BUCKETS, create: true }, AbortSignal.timeout(60_000));
  const { items } = await createSimulatedProvider({ poolSize: size }).listSandboxes(
    AbortSignal.timeout(60_000),
  );
  const nowMs = Date.now();
  const records = Array.from(items, ({ sandboxId, ...description }) => create(sandboxId, description, nowMs));
  const free = new Map(records.slice(leased).map((record) => [record.id, record]));
  await putAll(client, [
    ...records.slice(0, leased).map((record) => leaseOut(record, nowMs)),
    ...free.values(),
  ]);
  await noteStocked(client, nowMs, AbortSignal.timeout(60_000));
  const reads = createSandboxReads(client, BUCKETS, (sortKey, cause) => {
    throw new Error(`unreadable record ${String(sortKey)}`, { cause });
  });
  return {
    endpoint,
    table: client.table,
    size,
    free: () => [...free.values()],
    async restore(sandboxIds) {
      const restored: AvailableSandbox[] = [];
      for (const id of new Set(sandboxIds)) {
        const seen = free.get(id);
        if (!seen) throw new Error(`${id} was not free to begin with`);
        const record = { ...seen, generation: seen.generation + GENERATIONS_PER_ROUND };
        free.set(id, record);
        restored.push(record);
      }
      await putAll(client, restored);
    },
    countAllocated: async () => (await reads.count(['allocated'], true)).allocated,
    countFree: async () => (await reads.count(['available'], true)).available,
    close: () => client.close(),
  };
}

function leaseOut(sandbox: AvailableSandbox, nowMs: number): Sandbox {
  const holder = `earlier-${sandbox.id}`;
  const times = leaseTimes(nowMs, LEASE_TERMS);
  return allocate(sandbox, { leaseId: holder, holder, idempotencyPk: `I#${holder}`, ...times }, nowMs);
}

async function putAll(client: StoreClient, records: readonly Sandbox[]): Promise<void> {
  const batches = Array.from({ length: Math.ceil(records.length / BATCH) }, (_, index) =>
    records.slice(index * BATCH, (index + 1) * BATCH),
  );
  await inParallel(batches, BATCHES_AT_ONCE, async (batch) => {
    const puts = batch.map((record) => ({
      PutRequest: {
        Item: marshall(toSandboxItem(record, BUCKETS, 'bench'), { removeUndefinedValues: true }),
      },
    }));
    const command = new BatchWriteItemCommand({ RequestItems: { [client.table]: puts } });
    const { UnprocessedItems } = await client.raw.send(command);
    if (UnprocessedItems?.[client.table]) throw new Error('the engine left a part of a batch undone');
  });
}
