import { beforeAll, expect, onTestFinished } from 'vitest';
import { StoreUnavailableError } from '../../../src/domain/errors.ts';
import {
  createStoreClient,
  type StoreClient,
  type StoreClientOptions,
} from '../../../src/store/dynamo/client.ts';
import { openTable } from '../../../src/store/table.ts';
import { uniqueTable } from '../../support/broker/core.ts';
import { type FaultProxy, startFaultProxy } from '../../support/store/fault-proxy.ts';

/** What the clients sign their calls with. */
export const ACCESS_KEY_ID = 'AKID-not-for-logs';
export const SECRET_ACCESS_KEY = 'a-secret-that-is-nowhere-else';
/** Tries of one call. */
export const TRIES = 4;
/** What a call may take beyond its limit, on a machine that has other things to do. */
const SLACK_MS = 3_000;

interface Observed {
  operation: string;
  outcome: string;
}

/** The key of an item. */
export const key = (pk: string) => ({ pk, sk: 'x' });

/** Writes an item by the key of that name. */
export const put = (client: StoreClient, pk: string, more: object = {}) =>
  client.put({ Item: { ...key(pk), ...more } });

/** Clients for a suite: they share a table that has the item `there` in it. */
export function clientsOf(endpoint: string) {
  const table = uniqueTable();

  function connect(more: Partial<StoreClientOptions> = {}): { client: StoreClient; observed: Observed[] } {
    const observed: Observed[] = [];
    const client = createStoreClient({
      endpoint,
      region: 'local',
      credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
      table,
      observe: (operation, outcome) => observed.push({ operation, outcome }),
      ...more,
    });
    onTestFinished(() => client.close());
    return { client, observed };
  }

  async function startProxy(): Promise<FaultProxy> {
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
    onTestFinished(() => proxy.close());
    return proxy;
  }

  beforeAll(async () => {
    const client = createStoreClient({
      endpoint,
      region: 'local',
      credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
      table,
    });
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
    await put(client, 'there', { text: 'a text that is long enough to be cut in two' });
    client.close();
  });

  return { table, connect, startProxy };
}

/** Expects a call to end as one does whose store is out of reach. */
export async function expectUnavailable(calling: Promise<unknown>): Promise<void> {
  const error = await calling.then(
    () => 'it was answered',
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreUnavailableError);
  expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', retryAfterSeconds: 1 });
}

/** Expects work to end in time. */
export async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await work;
  expect(performance.now() - startedMs).toBeLessThan(limitMs + SLACK_MS);
  return result;
}
