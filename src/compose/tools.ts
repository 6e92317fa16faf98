import { randomUUID } from 'node:crypto';
import { systemClock } from '../clock.ts';
import type { Config } from '../config/index.ts';
import { entriesOf } from '../domain/pool-counts.ts';
import type { RuntimeCheck } from '../domain/runtime-check.ts';
import { createPoolDifferences, type PoolDifferences } from '../live/pool-differences.ts';
import { createRuntimeChecks } from '../safety/index.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { explainStoreFailure } from '../store/dynamo/store-failure.ts';
import { trustedClock } from '../store/dynamo/store-time.ts';
import type { Engine } from '../store/engine/engine.ts';
import { untold } from '../store/finding.ts';
import { storeChecks } from '../store/runtime-checks.ts';
import { createSandboxReads } from '../store/sandboxes/reads.ts';
import { createSandboxStore } from '../store/sandboxes/sandboxes.ts';
import { addDifferences, readCounts } from '../store/shared/counts.ts';
import { noteStocked } from '../store/shared/stock.ts';
import { openTable } from '../store/table.ts';
import { reportTable, type TableReport } from '../store/table-report.ts';
import { createLogger } from '../telemetry/logger.ts';
import { importSandboxes } from '../usecases/inventory/import-sandboxes.ts';
import { composeLine } from './line.ts';
import { composeProvider } from './provider.ts';
import { openStore, startEmbeddedEngine } from './store.ts';

/** What the command line does on the store itself, without a broker. */
export interface Tools {
  describeTable(signal: AbortSignal): Promise<TableReport>;
  /** The table as it should be, created where it is absent. Throws `TableError`. */
  createTable(signal: AbortSignal): Promise<void>;
  /** What the promises rest on in the store. */
  checkStore(signal: AbortSignal): Promise<RuntimeCheck[]>;
  /** Throws `TableError` where there is no table of ours. */
  importSandboxes: ReturnType<typeof importSandboxes>;
  close(): Promise<void>;
}

const nobody = () => undefined;

/**
 * Connects to the store that the configuration names, and starts the embedded engine where it is that one. Throws
 * `EngineError`, also where a broker has the engine's file in use.
 */
export async function composeTools(config: Config): Promise<Tools> {
  const logger = createLogger({ level: 'silent', pretty: false, destination: { write: nobody } });
  const engine: Engine | undefined = await startEmbeddedEngine(config, logger);
  const client = openStore(config, engine, nobody, nobody);
  const { buckets } = config;
  const store = createSandboxStore(client, buckets, randomUUID);
  const clock = trustedClock(systemClock, client);
  const own = createPoolDifferences(systemClock);
  // What is imported is for who waits in the line of the brokers, if there are any.
  const { server } = composeLine(
    { ...config, ...config.line, stopping: new AbortController().signal, onEnded: nobody, onLook: nobody },
    {
      client,
      buckets,
      store,
      reads: createSandboxReads(client, buckets, nobody),
      clock,
      newId: randomUUID,
      terms: config,
      cooldownMs: config.cooldownMs,
      onUnreadable: nobody,
      onChange: ({ seen, next }) => own.note(seen?.status, next.status),
      onError: nobody,
    },
  );
  const importAll = importSandboxes({ store: server, clock });
  return {
    describeTable: (signal) => reportTable(client, signal),
    createTable: (signal) => openTable(client, { buckets, create: true }, signal),
    checkStore: createRuntimeChecks({
      checks: storeChecks({ client, buckets, clock: systemClock, newId: randomUUID }),
      onError: untold,
    }).runAll,
    async importSandboxes(items, context, onProgress) {
      // The bucket of a record follows from the layout: with another one nobody would find it again.
      await openTable(client, { buckets, create: config.createTable }, context.signal);
      const counts = await importAll(items, context, onProgress);
      await noteStocked(client, systemClock.nowMs(), context.signal);
      await tellBrokers(client, own, context.signal);
      return counts;
    },
    async close() {
      client.close();
      await engine?.stop();
    },
  };
}

/** Adds what was changed here to what the brokers know of the pool's size, if they have counted it. */
async function tellBrokers(client: StoreClient, own: PoolDifferences, signal: AbortSignal): Promise<void> {
  for (let base = await readCounts(client, signal); base; ) {
    own.forgetBefore(base.asOfMs);
    const by = own.net();
    if (entriesOf(by).length === 0) return;
    const what = { by, asOfMs: base.asOfMs, nowMs: systemClock.nowMs() };
    const addition = await addDifferences(client, what, randomUUID, signal);
    base = addition?.isAdded ? undefined : addition?.counts;
  }
}

/** Asks the provider that the configuration names for its inventory. Throws `ProviderError`. */
export async function countInventory(config: Pick<Config, 'provider'>, signal: AbortSignal): Promise<number> {
  const provider = composeProvider(config, nobody);
  try {
    return (await provider.listSandboxes(signal)).items.size;
  } finally {
    await provider.close();
  }
}

/** What whoever gives a command can do about a store that cannot be used, in a sentence; undefined for other failures. */
export const explainFailure = (error: unknown): string | undefined => explainStoreFailure(error);
