import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { TransactWriteItemsCommand } from '@aws-sdk/client-dynamodb';
import { eventOf } from '../../src/domain/event.ts';
import { leaseTimes } from '../../src/domain/lease.ts';
import type { AvailableSandbox } from '../../src/domain/sandbox.ts';
import { allocate } from '../../src/domain/transitions.ts';
import { createStoreClient } from '../../src/store/dynamo/client.ts';
import { type TransactItems, toDriverItems } from '../../src/store/dynamo/documents.ts';
import { toGrantItems } from '../../src/store/sandboxes/grants.ts';
import { idempotencyPk } from '../../src/store/sandboxes/keys.ts';
import { inParallel } from './load.ts';
import { BUCKETS, LEASE_TERMS, LOCAL } from './pool.ts';

/*
 * The engine without a broker: the transaction of an allocation, over and over, from a bare SDK client in a process of
 * its own. Told what to do by its parent: first the orders, on which it prepares and warms up, then `go`.
 */

export interface RawOrders {
  endpoint: string;
  table: string;
  /** Free sandboxes that nobody else takes. */
  sandboxes: AvailableSandbox[];
  /** So many of them are used up before the clock starts. */
  warmUp: number;
  /** Transactions under way at once. */
  concurrency: number;
}

export interface RawResult {
  /** Epoch milliseconds. */
  startedMs: number;
  endedMs: number;
  latenciesMs: number[];
  cpuSeconds: number;
}

/** The same items under the same conditions as the broker's grant, ready to be sent. */
function toTransaction(table: string, seen: AvailableSandbox): TransactItems {
  const nowMs = Date.now();
  const holder = `raw-${seen.id}`;
  const pk = idempotencyPk('track', holder, holder);
  const attempt = randomUUID();
  const leaseId = randomUUID();
  const times = leaseTimes(nowMs, LEASE_TERMS);
  const next = allocate(seen, { leaseId, holder, idempotencyPk: pk, ...times }, nowMs);
  const key = {
    pk,
    sandboxId: seen.id,
    name: seen.name,
    externalId: seen.externalId,
    leaseId,
    allocatedAt: times.allocatedAt,
    leaseExpiresAt: times.expiresAt,
    expiresAt: times.reclaimAt,
    requestHash: randomUUID(),
    attempt,
  };
  const call = { actor: 'track', requestId: randomUUID(), correlationId: randomUUID() };
  const event = eventOf(seen, next, 'allocate', call);
  return toGrantItems(table, BUCKETS, { seen, next, event, key, nowMs });
}

/** Connects, and gives what sends a list of transactions and returns how long each took, milliseconds. */
function connect({ endpoint, table, concurrency }: RawOrders): (list: TransactItems[]) => Promise<number[]> {
  // The broker's own SDK client, below everything that the broker puts around it.
  const { raw } = createStoreClient({ ...LOCAL, endpoint, table, maxConcurrentCalls: concurrency });
  return (list) =>
    inParallel(list, concurrency, async (transaction) => {
      const startedMs = performance.now();
      await raw.send(new TransactWriteItemsCommand({ TransactItems: toDriverItems(transaction) }));
      return performance.now() - startedMs;
    });
}

async function nextMessage(): Promise<unknown> {
  const [message] = await once(process, 'message');
  return message;
}

const orders = (await nextMessage()) as RawOrders;
const send = connect(orders);
const transactions = orders.sandboxes.map((sandbox) => toTransaction(orders.table, sandbox));
await send(transactions.slice(0, orders.warmUp));
process.send?.('ready');
await nextMessage();
const cpu = process.cpuUsage();
const startedMs = Date.now();
const latenciesMs = await send(transactions.slice(orders.warmUp));
const endedMs = Date.now();
const { user, system } = process.cpuUsage(cpu);
const result: RawResult = { startedMs, endedMs, latenciesMs, cpuSeconds: (user + system) / 1e6 };
process.send?.(result, () => process.exit(0));
