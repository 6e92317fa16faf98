import type { NewId } from '../clock.ts';
import type { Config } from '../config/index.ts';
import type { RunNow, SyncOptions } from '../loops/run.ts';
import { createStoreClient, type StoreClient } from '../store/dynamo/client.ts';
import { createStoreTime } from '../store/dynamo/store-time.ts';
import { type Engine, type EngineEvent, startEngine } from '../store/engine/engine.ts';
import { openTable } from '../store/table.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Starts the bundled engine, where the configuration chooses it; `signal` ends the attempt. */
export async function startEmbeddedEngine(
  { store }: Pick<Config, 'store'>,
  logger: Logger,
  signal?: AbortSignal,
): Promise<Engine | undefined> {
  if (store.kind !== 'embedded') return undefined;
  const onEvent = (event: EngineEvent) => {
    const { type, ...fields } = event;
    const level = type === 'restarted' ? 'info' : 'error';
    logger[level]({ action: 'engine', outcome: type, ...fields }, `the embedded engine: ${type}`);
  };
  const engine = await startEngine({ file: store.file, onEvent }, signal);
  logger.info(
    { action: 'engine', kind: engine.kind, endpoint: engine.endpoint, file: store.file },
    'engine started',
  );
  return engine;
}

const REFILL_WITHIN_MS = 60_000;

/**
 * Makes the table anew when an engine that keeps all in memory has died and is back, says what was lost, and has the pool
 * listed again. One with a file has lost nothing.
 */
export function remakeLostTable(
  engine: Engine | undefined,
  client: StoreClient,
  {
    config,
    logger,
    newId,
    forget,
    sync,
  }: {
    config: Pick<Config, 'store' | 'buckets'>;
    logger: Logger;
    newId: NewId;
    /** What is remembered of the lost table's sandboxes is no longer true. */
    forget: () => void;
    sync: RunNow<SyncOptions>;
  },
): void {
  const { store, buckets } = config;
  if (store.kind !== 'embedded' || store.file !== undefined) return;
  const remake = async () => {
    logger.error(
      { action: 'engine', outcome: 'emptied' },
      'the store in memory is lost: sandboxes, leases, keys, history. SANDBOX_DB_URL=embedded:<file> keeps them',
    );
    const signal = AbortSignal.timeout(REFILL_WITHIN_MS);
    await openTable(client, { buckets, create: true }, signal);
    forget();
    const ids = { requestId: newId(), correlationId: newId() };
    await sync({ force: false }, { actor: 'engine_restart', ...ids, signal });
    logger.info({ action: 'engine', outcome: 'refilled' }, 'the table was made anew, and the pool listed');
  };
  engine?.onRestart(() => {
    remake().catch((error: unknown) =>
      logger.error(
        { action: 'engine', outcome: 'error', err: error },
        'the table was not made anew or not filled; the next restart tries again, or the next sync',
      ),
    );
  });
}

/** A client of the store that the configuration chooses; `engine`: the bundled one, where it was started. */
export function openStore(
  { store, tableName }: Pick<Config, 'store' | 'tableName'>,
  engine: Engine | undefined,
  observe: (operation: string, outcome: string, seconds: number) => void,
  onRetry: (operation: string, attempt: number, error: unknown, waitMs: number) => void,
): StoreClient {
  const common = { table: tableName, time: createStoreTime(), observe, onRetry };
  switch (store.kind) {
    case 'embedded':
      return createStoreClient({
        ...common,
        region: 'local',
        endpoint: engine?.endpoint,
        credentials: 'nobodys',
      });
    case 'endpoint': {
      // Nobody signs in to a local engine over plain HTTP.
      const credentials = store.credentials ?? (store.url.startsWith('http:') ? 'nobodys' : undefined);
      return createStoreClient({ ...common, region: store.region, endpoint: store.url, credentials });
    }
    case 'aws':
      return createStoreClient({ ...common, region: store.region });
  }
}
