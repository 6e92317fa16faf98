import type { Clock, NewId } from '../clock.ts';
import type { Config } from '../config/index.ts';
import type { LeaseRules } from '../domain/lease.ts';
import type { Provider } from '../provider/provider.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { trustedClock } from '../store/dynamo/store-time.ts';
import { createReplacements } from '../store/line/replacements.ts';
import { readHistory } from '../store/sandboxes/events.ts';
import { readHeldIds } from '../store/sandboxes/holders.ts';
import { findKey, readKey } from '../store/sandboxes/idempotency.ts';
import { idempotencyPk } from '../store/sandboxes/keys.ts';
import { createSandboxReads } from '../store/sandboxes/reads.ts';
import { createReadyList } from '../store/sandboxes/ready-list.ts';
import { createSandboxStore } from '../store/sandboxes/sandboxes.ts';
import { type SandboxChange, watchSandboxes } from '../store/sandboxes/watched-sandboxes.ts';
import { createReplicaRegister } from '../store/shared/replicas.ts';
import { createTurns } from '../store/shared/turns.ts';
import type { RaiseAlert } from '../usecases/alert.ts';
import { type CleanUpDeps, cleanUp } from '../usecases/deletion/clean-up.ts';
import { createCooling } from '../usecases/deletion/cooling.ts';
import { deleteOnce } from '../usecases/deletion/delete-once.ts';
import { lookForLeaving } from '../usecases/deletion/look-for-leaving.ts';
import { inspectSandbox } from '../usecases/inspect-sandbox.ts';
import { countPool } from '../usecases/inventory/count-pool.ts';
import { bulkDelete, purgeStale } from '../usecases/inventory/purge-records.ts';
import { type Survey, syncInventory } from '../usecases/inventory/sync-inventory.ts';
import { allocateSandbox as createAllocate } from '../usecases/leases/allocate-sandbox.ts';
import { type AllocateSeveralDeps, allocateSeveral } from '../usecases/leases/allocate-several.ts';
import { expireLeases } from '../usecases/leases/expire-leases.ts';
import { getSandbox } from '../usecases/leases/get-sandbox.ts';
import { extendForHolder, extendLease, heartbeat } from '../usecases/leases/keep-lease.ts';
import { markAll, markForDeletion } from '../usecases/leases/mark-for-deletion.ts';
import { countSandboxes, operateOnMany } from '../usecases/leases/operate-on-many.ts';
import { releaseSandbox, retrySandboxDeletion } from '../usecases/leases/operate-sandbox.ts';
import { quarantineSandbox, restoreSandbox } from '../usecases/leases/quarantine-sandbox.ts';
import { replaceReported } from '../usecases/leases/replace-reported.ts';
import { reportSandbox } from '../usecases/leases/report-sandbox.ts';
import { rememberServedKeys } from '../usecases/leases/served-keys.ts';
import { listSandboxes } from '../usecases/list-sandboxes.ts';
import { composeLine, type LineOptions } from './line.ts';
import type { Safety } from './safety.ts';

export interface CoreOptions {
  client: StoreClient;
  /** The number the table was laid out with. */
  buckets: number;
  provider: Provider;
  safety: Pick<Safety, 'guard' | 'providerDelete' | 'effects' | 'firstEffects'>;
  clock: Clock;
  newId: NewId;
  replicaId: string;
  terms: LeaseRules;
  allocateDeadlineMs: number;
  /** Transactions that lease sandboxes, under way at once; callers beyond that share them. */
  grantTransactions?: number;
  /** How long after it was cleaned a sandbox is free, milliseconds. */
  cooldownMs: number;
  syncMaxStaleRatio: number;
  cleanupConcurrency: number;
  cleanupDelayMs: number;
  deletionMaxAttempts: number;
  deleteTimeoutMs: number;
  deleteMayRunMs: number;
  deleteEvidence: CleanUpDeps['evidenceRules'];
  /** Of the provider's deletes, where they have one. */
  deleteBreaker?: CleanUpDeps['breaker'];
  line: LineOptions;
  /** Told of a sandbox that is parked. */
  onParked?: CleanUpDeps['onParked'];
  alert: RaiseAlert;
  /** A sync reads the whole pool, and tells what was there. */
  survey?: () => Survey;
  /** This replica has changed a sandbox. */
  onSandboxChange?: (change: SandboxChange) => void;
  /** A record that cannot be read, by its sort key. */
  onUnreadable: (sortKey: unknown, error: unknown) => void;
  /** Something in the background failed and will be tried again. */
  onBackgroundError: (chore: string, error: unknown) => void;
}

/** What of the configuration the core goes by. */
export const coreSettings = (config: Config) => ({
  buckets: config.buckets,
  terms: {
    leaseSeconds: config.leaseSeconds,
    maxLeaseSeconds: config.maxLeaseSeconds,
    bufferSeconds: config.bufferSeconds,
  },
  allocateDeadlineMs: config.allocateDeadlineMs,
  cooldownMs: config.cooldownMs,
  syncMaxStaleRatio: config.syncMaxStaleRatio,
  cleanupConcurrency: config.cleanupConcurrency,
  cleanupDelayMs: config.cleanupDelayMs,
  deletionMaxAttempts: config.deletionMaxAttempts,
  deleteMayRunMs: config.deleteMayRunMs,
  deleteEvidence: config.deleteEvidence,
});

export type Core = ReturnType<typeof composeCore>;

/** Store, use cases and the loops' work on one table: everything but HTTP, timers and the process. */
export function composeCore(options: CoreOptions) {
  const { client, buckets, provider, newId, alert } = options;
  const clock = trustedClock(options.clock, client);
  const { cooldownMs } = options;
  const servedKeys = rememberServedKeys();
  const onSandboxChange = (change: SandboxChange) => {
    cooling.note(change);
    servedKeys.noteChange(change);
    options.onSandboxChange?.(change);
  };
  const table = createSandboxStore(client, buckets, newId, options.grantTransactions);
  const reads = createSandboxReads(client, buckets, options.onUnreadable);
  const line = composeLine(options.line, {
    ...options,
    store: table,
    reads,
    clock,
    onChange: onSandboxChange,
    onError: (error) => options.onBackgroundError('line', error),
  });
  const store = watchSandboxes(line.server, (change, ...rest) => {
    line.noteChange(change);
    onSandboxChange(change, ...rest);
  });
  const register = createReplicaRegister(client, options.replicaId, clock);
  const turns = createTurns(client, options.replicaId, clock);
  const readyList = createReadyList(reads, register.rank, store.bucketPace, (error) =>
    options.onBackgroundError('refill', error),
  );
  const deps = { store, reads, clock };
  const cooling = createCooling(deps);
  const keeper = line.createKeeper({
    readyList,
    hasOlder: register.hasOlder,
    departures: register.departures,
  });
  const onFailure = (chore: string) => (sandboxId: string, error: unknown) =>
    options.onBackgroundError(chore, new Error(`${sandboxId} is left for the next run`, { cause: error }));
  const purgeDeps = { ...deps, guard: options.safety.guard, onFailure: onFailure('purge') };
  const releaseOne = releaseSandbox(deps);
  const listing = listSandboxes({
    reads,
    heldIds: (holder, signal) => readHeldIds(client, holder, signal),
  });
  const retryDeletion = retrySandboxDeletion(deps);
  const allocateDeps: AllocateSeveralDeps = {
    ...deps,
    readKey: async (pk, signal) => await readKey(client, pk, clock.nowMs(), signal),
    keyPk: idempotencyPk,
    readyList,
    newId,
    terms: options.terms,
    deadlineMs: options.allocateDeadlineMs,
  };
  const { allocateSandbox, allocateInLine } = createAllocate({
    ...allocateDeps,
    store,
    readyList,
    servedKeys,
    lineDeps: line.lineDeps,
  });
  const markOne = markForDeletion(deps);
  return {
    store,
    reads,
    register,
    turns,
    readyList,
    /** The first of the line as it is known here, and a look at all of it. */
    line: { known: line.places.known, wake: keeper.wake },
    /** The line as it is known here, and who waits here. */
    lineView: line.lineDeps.view,
    lineWaiters: line.lineDeps.waiters,
    useCases: {
      allocateSandbox,
      allocateInLine,
      allocateSeveral: allocateSeveral(allocateDeps),
      places: line.places,
      markForDeletion: markOne,
      markAll: markAll({
        findKey: async (pk, signal) => await findKey(client, pk, signal),
        keyPk: idempotencyPk,
        markForDeletion: markOne,
      }),
      extendLease: extendLease({
        ...deps,
        terms: options.terms,
        othersFirst: options.line.extendWhileWaiting ? undefined : line.lineDeps.view,
      }),
      extendForHolder: extendForHolder({ ...deps, terms: options.terms }),
      heartbeat: heartbeat(deps),
      reportSandbox: reportSandbox({
        ...deps,
        replaceReported: replaceReported({
          replacements: createReplacements(client, buckets, newId),
          readyList,
          lineDeps: line.lineDeps,
          clock,
          newId,
          terms: options.terms,
          onChange: onSandboxChange,
        }),
        deadlineMs: options.allocateDeadlineMs,
        alert,
      }),
      getSandbox: getSandbox(deps),
      inspectSandbox: inspectSandbox({
        store,
        readHistory: (sandboxId, limit, signal) => readHistory(client, sandboxId, limit, signal),
      }),
      listSandboxes: listing,
      countSandboxes: countSandboxes({ listSandboxes: listing, clock }),
      bulkDelete: bulkDelete(purgeDeps),
      releaseSandbox: releaseOne,
      releaseSandboxes: operateOnMany({ listSandboxes: listing, operate: releaseOne, status: 'allocated' }),
      retryDeletion,
      retryDeletions: operateOnMany({
        listSandboxes: listing,
        operate: retryDeletion,
        status: 'deletion_failed',
      }),
      quarantineSandbox: quarantineSandbox(deps),
      restoreSandbox: restoreSandbox(deps),
    },
    work: {
      sync: syncInventory({
        ...deps,
        provider,
        maxStaleRatio: options.syncMaxStaleRatio,
        cooldownMs,
        alert,
        onFailure: onFailure('sync'),
        survey: options.survey,
      }),
      cleanup: cleanUp({
        ...deps,
        deleteOnce: deleteOnce({
          provider,
          effects: options.safety.effects,
          firstEffects: options.safety.firstEffects,
          deleteTimeoutMs: options.deleteTimeoutMs,
        }),
        lookForLeaving: lookForLeaving({ ...deps, provider, alert, onFailure: onFailure('cleanup') }),
        providerDelete: options.safety.providerDelete,
        newId,
        concurrency: options.cleanupConcurrency,
        delayMs: options.cleanupDelayMs,
        maxAttempts: options.deletionMaxAttempts,
        deleteTimeoutMs: options.deleteTimeoutMs,
        deleteMayRunMs: options.deleteMayRunMs,
        cooldownMs,
        evidenceRules: options.deleteEvidence,
        breaker: options.deleteBreaker,
        onParked: options.onParked,
        alert,
      }),
      expire: expireLeases({ ...deps, onFailure: onFailure('expire') }),
      freeCooled: cooling.freeCooled,
      tendLine: keeper.tend,
      purge: purgeStale(purgeDeps),
      count: (signal: AbortSignal, how: Parameters<typeof countPool>[1] = { consistent: false }) =>
        countPool(deps, how, signal),
    },
  };
}
