import { StoreUnavailableError } from '../domain/errors.ts';
import type { ReadinessFinding } from '../domain/readiness.ts';
import type { Resource } from '../domain/resilience/action.ts';
import type { RuntimeCheck } from '../domain/runtime-check.ts';
import type { Governor, HeartbeatReport, ReadinessCheck } from '../safety/index.ts';
import type { ReadinessCheckName } from '../telemetry/metric-labels.ts';
import { limitTime, untilAborted } from '../time-limit.ts';
import type { PoolStats } from '../usecases/inventory/pool-stats.ts';
import type { Stocking } from '../usecases/inventory/stocking.ts';
import { deletionReadiness, poolReadiness } from './pool-readiness.ts';
import { runtimeReadiness } from './runtime-watch.ts';

export interface ReadinessSources {
  /** Of the loops and of the {@link WORKER}, by name. */
  heartbeats: () => Readonly<Record<string, HeartbeatReport>>;
  /** How far off this machine's clock is. */
  clock: () => ReadinessFinding;
  /** The last look at what the promises rest on in the store. */
  runtime: () => readonly RuntimeCheck[] | undefined;
  governor: Pick<Governor<Resource>, 'status'>;
  /** Names of the circuit breakers that are not closed. */
  openBreakers: () => readonly string[];
  /** The loops whose last run failed, in words, as far as this replica knows. */
  failedLoops: () => readonly string[];
  poolStats: PoolStats;
  stocking: Pick<Stocking, 'look' | 'wasThereWithin' | 'openSinceMs' | 'readiness'>;
  /** Whether the last call to the store got no answer. */
  isStoreSilent: () => boolean;
  isShuttingDown: () => boolean;
}

/** The name of the worker's heartbeat. */
export const WORKER = 'worker';
export const SHUTTING_DOWN = 'shutting_down';

/** A little longer than from one beat to the next: who has just looked, and heard of nothing bad since, need not look again. */
const STORE_SEEN_WITHIN_MS = 12_000;
const STORE_WITHIN_MS = 2_000;
/** It knows by itself when its time is over; this is for when it does not. */
const STORE_CHECK_WITHIN_MS = STORE_WITHIN_MS + 500;
/** What reads memory only: it has no reason to take longer. */
const MEMORY_WITHIN_MS = 200;

/** What a replica looks at to see whether it serves, and what limits it. */
export function readinessChecks(
  sources: ReadinessSources,
): (ReadinessCheck & { name: ReadinessCheckName })[] {
  const { stocking } = sources;
  const silent = () =>
    Object.entries(sources.heartbeats()).flatMap(([name, { isHealthy }]) => (isHealthy ? [] : [name]));

  return [
    {
      name: 'dynamodb',
      otherwise: 'failing',
      timeoutMs: STORE_CHECK_WITHIN_MS,
      check: (signal) =>
        stocking.wasThereWithin(STORE_SEEN_WITHIN_MS) && !sources.isStoreSilent()
          ? { state: 'ok' }
          : storeReadiness(stocking, signal),
    },
    { ...inMemory('clock', 'failing', sources.clock), refusal: 'CLOCK_OFF' },
    inMemory('runtime', 'degraded', () => runtimeReadiness(sources.runtime())),
    inMemory('heartbeats', 'degraded', () =>
      degradedIf(
        'no sign of life from',
        silent().filter((name) => name !== WORKER),
      ),
    ),
    inMemory('worker', 'degraded', () =>
      degradedIf(
        'no sign of life from the',
        silent().filter((name) => name === WORKER),
      ),
    ),
    inMemory('governor', 'degraded', () =>
      sources.governor.status().length > 0 ? { state: 'ok' } : { state: 'degraded', detail: 'no quotas' },
    ),
    inMemory('breakers', 'degraded', () => degradedIf('calls are suspended by', sources.openBreakers())),
    inMemory('loops', 'degraded', () => degradedIf('the last run failed:', sources.failedLoops())),
    inMemory('sync', 'degraded', () => stocking.readiness().sync),
    {
      ...inMemory('pool', 'degraded', () => {
        const { pool } = stocking.readiness();
        const counts = sources.poolStats();
        const isWhole = counts && counts.asOfMs >= stocking.openSinceMs();
        return pool.state === 'ok' ? poolReadiness(isWhole ? counts : undefined) : pool;
      }),
      refusal: 'POOL_NOT_SYNCED',
    },
    inMemory('deletions', 'degraded', () => deletionReadiness(sources.poolStats())),
    {
      ...inMemory('shutdown', 'failing', () =>
        sources.isShuttingDown() ? { state: 'failing', detail: SHUTTING_DOWN } : { state: 'ok' },
      ),
      refusal: 'SHUTTING_DOWN',
    },
  ];
}

const inMemory = (
  name: ReadinessCheckName,
  otherwise: 'degraded' | 'failing',
  check: () => ReadinessFinding,
) => ({ name, otherwise, timeoutMs: MEMORY_WITHIN_MS, check });

const degradedIf = (what: string, names: readonly string[]): ReadinessFinding =>
  names.length === 0 ? { state: 'ok' } : { state: 'degraded', detail: `${what} ${names.join(', ')}` };

/**
 * Whether the table answers, and is the one that was opened. A store that does not answer is away from every replica: were
 * all to leave the service, callers would be told by a proxy that there is nothing, and not by the broker when to come again.
 */
async function storeReadiness(
  stocking: Pick<Stocking, 'look'>,
  signal: AbortSignal,
): Promise<ReadinessFinding> {
  const time = limitTime(STORE_WITHIN_MS, signal);
  try {
    return (await untilAborted(stocking.look(time.signal), time.signal))
      ? { state: 'ok' }
      : { state: 'failing', detail: 'the table has no layout any more' };
  } catch (error) {
    if (!(error instanceof StoreUnavailableError || time.signal.aborted)) throw error;
    return { state: 'failing', detail: 'the store does not answer', isShared: true };
  } finally {
    time.clear();
  }
}
