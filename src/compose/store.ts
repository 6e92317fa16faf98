import type { Config } from '../config/index.ts';
import { createStoreClient, type StoreClient } from '../store/dynamo/client.ts';
import { createStoreTime } from '../store/dynamo/store-time.ts';
import { type Engine, type EngineEvent, startEngine } from '../store/engine/engine.ts';
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

/** What keeps all in memory begins empty when it is back; one with a file has lost nothing. */
export function onEmptied(
  { store }: Pick<Config, 'store'>,
  engine: Engine | undefined,
  remake: () => Promise<void>,
): void {
  if (store.kind === 'embedded' && store.file === undefined) engine?.onRestart(() => void remake());
}

/** How long a call takes at the least to be taken for lost, where the store is no engine of this machine. */
const SHORTEST_CALL_TIMEOUT_MS = 1_000;

/** A client of the store that the configuration chooses; `engine`: the bundled one, where it was started. */
export function openStore(
  { store, tableName }: Pick<Config, 'store' | 'tableName'>,
  engine: Engine | undefined,
  observe: (operation: string, outcome: string, seconds: number) => void,
  onRetry: (operation: string, attempt: number, error: unknown, waitMs: number) => void,
): StoreClient {
  const far = { shortestCallTimeoutMs: SHORTEST_CALL_TIMEOUT_MS };
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
      return createStoreClient({
        ...common,
        ...(credentials !== 'nobodys' && far),
        region: store.region,
        endpoint: store.url,
        credentials,
      });
    }
    case 'aws':
      return createStoreClient({ ...common, ...far, region: store.region });
  }
}
