import type { Clock, NewId } from '../clock.ts';
import type { PoolCounts } from '../domain/pool-counts.ts';
import { createPoolCounts } from '../live/pool-counts.ts';
import type { PoolDifferences } from '../live/pool-differences.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { hasSandboxes, noteStocked, noteSync, readStock } from '../store/shared/stock.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createStocking, type Stocking } from '../usecases/inventory/stocking.ts';
import type { Core } from './core.ts';

interface PoolOptions {
  core: Pick<Core, 'reads' | 'work'>;
  client: StoreClient;
  clock: Clock;
  metrics: Pick<Metrics, 'setPoolCounts'>;
  /** How many changes of sandboxes this replica has made so far. */
  changes: () => number;
  /** What they were, where no count has them. */
  own: PoolDifferences;
  newId: NewId;
  /** How often a pool is counted in which nothing happens, milliseconds. */
  intervalMs: number;
  /** Looks whether counts are worth an alert. */
  watchPool: (counts: PoolCounts, signal: AbortSignal) => Promise<void>;
  /** The pool was stocked, there is none free any more, or one again. */
  onTurn: () => void;
  onError: (chore: string, error: unknown) => void;
}

/** What is known of the pool as a whole: whether it was ever stocked, and its counts. */
export function composePool({ core, client, clock, onTurn, onError, ...options }: PoolOptions) {
  const stocking: Stocking = createStocking({
    read: (signal) => readStock(client, signal),
    noteSync: (end) => noteSync(client, end),
    noteStocked: (nowMs, signal) => noteStocked(client, nowMs, signal),
    hasSandboxes: (signal) => hasSandboxes(client, core.reads.buckets, signal),
    clock,
    onOpen() {
      counts.countSoon();
      onTurn();
    },
    onError: (error) => onError('first_sync', error),
  });
  const counts = createPoolCounts({
    ...options,
    count: core.work.count,
    client,
    clock,
    isStocked: stocking.isOpen,
    onTurn,
    onError: (error) => onError('pool_counts', error),
  });
  return { stocking, counts };
}
