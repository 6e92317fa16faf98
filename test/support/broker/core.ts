import { randomUUID } from 'node:crypto';
import type { Clock } from '../../../src/clock.ts';
import { type Core, type CoreOptions, composeCore } from '../../../src/compose/core.ts';
import { composeSafety, type Safety } from '../../../src/compose/safety.ts';
import { loadConfig } from '../../../src/config/index.ts';
import type { SafetyConfig } from '../../../src/config/safety.ts';
import { createSimulatedProvider, type SimulatedProvider } from '../../../src/provider/simulated.ts';
import {
  createStoreClient,
  type StoreClient,
  type StoreClientOptions,
} from '../../../src/store/dynamo/client.ts';
import { openTable } from '../../../src/store/table.ts';
import type { Alert } from '../../../src/usecases/alert.ts';
import type { CallContext } from '../../../src/usecases/context.ts';

export const HOUR_SECONDS = 3_600;
export const TERMS = {
  leaseSeconds: 4 * HOUR_SECONDS,
  maxLeaseSeconds: 24 * HOUR_SECONDS,
  bufferSeconds: HOUR_SECONDS / 2,
};

/** A wall clock that stands still until it is moved. */
export interface FakeClock extends Clock {
  advanceSeconds(seconds: number): void;
  set(nowMs: number): void;
}

export function createFakeClock(startMs = Date.UTC(2030, 0, 1, 9)): FakeClock {
  let nowMs = startMs;
  return {
    nowMs: () => nowMs,
    advanceSeconds(seconds) {
      nowMs += seconds * 1000;
    },
    set(value) {
      nowMs = value;
    },
  };
}

/** The line's rules by default, of a process that goes on. */
export const LINE: CoreOptions['line'] = {
  patienceSeconds: 60,
  claimSeconds: 60,
  maxPlaces: 10_000,
  extendWhileWaiting: true,
  expiryIntervalMs: 300_000,
  cleanupIntervalMs: 300_000,
  stopping: new AbortController().signal,
  onEnded: () => undefined,
  onLook: () => undefined,
};

export const LOCAL_CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local' };

export const uniqueTable = (): string => `Test-${randomUUID()}`;

/** The store calls a client made, by operation, and a hand on their count. */
export interface CallLog {
  count(operation?: string): number;
  clear(): void;
}

/** A client for `table` that counts what it sends. */
export function createCountingClient(
  endpoint: string,
  table: string,
  more: Partial<StoreClientOptions> = {},
): { client: StoreClient; calls: CallLog } {
  let log: string[] = [];
  const client = createStoreClient({
    endpoint,
    region: 'local',
    credentials: LOCAL_CREDENTIALS,
    table,
    observe: (operation) => log.push(operation),
    ...more,
  });
  return {
    client,
    calls: {
      count: (operation) =>
        operation === undefined ? log.length : log.filter((name) => name === operation).length,
      clear: () => {
        log = [];
      },
    },
  };
}

export interface TestCore extends Core {
  safety: Safety;
  client: StoreClient;
  calls: CallLog;
  clock: FakeClock;
  provider: SimulatedProvider;
  alerts: Alert[];
  backgroundErrors: { chore: string; error: unknown }[];
  /** Another replica on the same table, with its own client, list and id, and the same clock. */
  replica(options?: Partial<CoreOptions> & Partial<SafetyConfig>): Promise<TestCore>;
  close(): void;
}

/** A fresh table on an engine and a broker's core on it, with a simulated provider and a clock that stands still. */
export async function startCore(
  endpoint: string,
  options: Partial<CoreOptions> &
    Partial<SafetyConfig> & { poolSize?: number; table?: string; clock?: FakeClock } = {},
): Promise<TestCore> {
  const table = options.table ?? uniqueTable();
  const { client, calls } = createCountingClient(endpoint, table);
  const clock = options.clock ?? createFakeClock();
  const provider = createSimulatedProvider({ poolSize: options.poolSize ?? 0 });
  const alerts: Alert[] = [];
  const backgroundErrors: { chore: string; error: unknown }[] = [];
  const buckets = options.buckets ?? 16;
  await openTable(client, { buckets, create: true }, AbortSignal.timeout(60_000));
  const { dryRun, quotas } = loadConfig({});
  const safety = composeSafety({
    client,
    clock,
    newId: randomUUID,
    alert: (alert) => alerts.push(alert),
    dryRun: options.dryRun ?? dryRun,
    quotas: { ...quotas, ...options.quotas },
  });
  const core = composeCore({
    client,
    buckets,
    provider,
    safety,
    clock,
    newId: randomUUID,
    replicaId: randomUUID(),
    terms: TERMS,
    allocateDeadlineMs: 25_000,
    line: LINE,
    cooldownMs: 0,
    syncMaxStaleRatio: 0.5,
    cleanupConcurrency: 5,
    cleanupDelayMs: 0,
    deletionMaxAttempts: 3,
    deleteTimeoutMs: 20_000,
    deleteMayRunMs: 30_000,
    deleteEvidence: loadConfig({}).deleteEvidence,
    alert: (alert) => alerts.push(alert),
    onUnreadable: (sortKey, error) => {
      throw new Error(`unreadable record ${String(sortKey)}`, { cause: error });
    },
    onBackgroundError: (chore, error) => backgroundErrors.push({ chore, error }),
    ...options,
  });
  if (options.poolSize) {
    await core.work.sync({ force: false }, context());
    clock.advanceSeconds(60);
  }
  calls.clear();
  return {
    ...core,
    safety,
    client,
    calls,
    clock,
    provider,
    alerts,
    backgroundErrors,
    replica: (more = {}) => startCore(endpoint, { ...options, ...more, poolSize: 0, table, clock }),
    close: () => client.close(),
  };
}

/** The context of a call that nobody interrupts. */
export const context = (actor = 'track'): CallContext => ({
  actor,
  requestId: randomUUID(),
  correlationId: randomUUID(),
  signal: new AbortController().signal,
});
