import type { Clock, NewId } from '../clock.ts';
import type { Config } from '../config/index.ts';
import { isClockOff } from '../domain/errors.ts';
import type { Counts } from '../live/pool-counts.ts';
import { soonAgain, whenRested } from '../loops/come-back.ts';
import { firstSync } from '../loops/first-sync.ts';
import { lockedWork } from '../loops/locked-work.ts';
import { createLoop, type LoopOptions } from '../loops/loop.ts';
import type { LoopReport } from '../loops/loop-report.ts';
import { refreshHints } from '../loops/refresh-hints.ts';
import { createRunMemory } from '../loops/run-memory.ts';
import { sharingRetries } from '../loops/shared-retries.ts';
import { tellRuns } from '../loops/tell-runs.ts';
import { createTicker } from '../loops/ticker.ts';
import { type Breaker, createHeartbeat } from '../safety/index.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { trustedClock } from '../store/dynamo/store-time.ts';
import { deleteExpired } from '../store/expired.ts';
import { runWithCorrelation } from '../telemetry/correlation.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { RaiseAlert } from '../usecases/alert.ts';
import type { Stocking } from '../usecases/inventory/stocking.ts';
import type { Core } from './core.ts';
import type { Safety } from './safety.ts';

const PURGE_INTERVAL_MS = 86_400_000;
const DEFAULT_GRACE_PERIOD_HOURS = 24;
/** Longer than the time around a listing in which what changed is left alone. */
const COME_BACK_MS = 20_000;
const FIRST_SYNC_INTERVAL_MS = 1_000;
const REFRESH_INTERVAL_MS = 10_000;
const LINE_INTERVAL_MS = 3_000;
const COOLDOWN_LOOK_INTERVAL_MS = 1_000;
const TTL_SWEEP_INTERVAL_MS = 3_600_000;

interface LoopsOptions {
  config: Config;
  core: Core;
  safety: Pick<Safety, 'dryRun'>;
  /** Of the provider's deletes. */
  deleteBreaker: Pick<Breaker, 'restMs'>;
  client: StoreClient;
  /** Exchanges with the other replicas which calls of the provider are tried again. */
  shareRetries: (signal: AbortSignal) => Promise<void>;
  clock: Clock;
  newId: NewId;
  logger: Logger;
  metrics: Metrics;
  alert: RaiseAlert;
  counts: Counts;
  /** Fires when a shutdown waits no longer for the runs under way. */
  cutOff: AbortSignal;
  stocking: Stocking;
}

export type Loops = ReturnType<typeof composeLoops>;

/** The loops of DESIGN §6 and the replica's own chores, wired to logs and metrics; nothing runs before `start()`. */
export function composeLoops(options: LoopsOptions) {
  const { config, core, client, clock, newId, logger, metrics, alert, stocking } = options;
  const pool = options.counts;
  const { dryRun } = options.safety;
  const trusted = trustedClock(clock, client);
  const memory = createRunMemory(clock, () => core.register.living().length > 1);
  const report = tellRuns({ memory, metrics, logger });

  const onChoreError = (chore: string) => (error: unknown) => {
    // A clock that is off is said once, and not every few seconds.
    if (isClockOff(error)) return;
    logger.warn({ action: chore, outcome: 'error', err: error }, 'a chore failed and will be tried again');
  };
  const make = <Options>(loop: LoopOptions<Options>) =>
    createLoop(
      {
        turns: core.turns,
        clock,
        newId,
        heartbeat: createHeartbeat(),
        heartbeatEveryMs: config.heartbeatIntervalMs,
        cutOff: options.cutOff,
        report,
        alert,
        correlate: (ids, work) => runWithCorrelation(ids, work),
      },
      loop,
    );
  /** One that changes the pool, of which the others know before its end. What the loop itself does is told to nobody but the log. */
  const makeCounted = <Options>(loop: LoopOptions<Options>) =>
    make({ ...loop, work: pool.added(loop.work, (_options, { actor }) => actor !== loop.action) });
  const { work } = core;
  const tellRetries = (signal: AbortSignal) =>
    options.shareRetries(signal).catch(onChoreError('retry_windows'));
  /** One that calls the provider. */
  const makeCalling = <Options>(loop: LoopOptions<Options>) =>
    makeCounted({ ...loop, work: sharingRetries(tellRetries, loop.work) });
  const syncAndNote = stocking.noting(work.sync);
  const sync = makeCalling({
    name: 'sync',
    action: 'background_sync',
    intervalMs: config.syncIntervalMs,
    options: { force: false },
    comeBack: soonAgain(COME_BACK_MS),
    work: async (options, context, onProgress) => ({
      ...(await syncAndNote(options, context, onProgress)),
    }),
  });
  const cleanup = makeCalling({
    name: 'cleanup',
    action: 'background_cleanup',
    intervalMs: config.cleanupIntervalMs,
    options: {},
    comeBack: whenRested(options.deleteBreaker.restMs),
    work: lockedWork(dryRun, 'csp_delete', async (_options, context, onProgress) => ({
      ...(await work.cleanup(context, onProgress)),
    })),
  });
  const expiry = makeCounted({
    name: 'expiry',
    action: 'auto_expiry',
    intervalMs: config.expiryIntervalMs,
    options: {},
    work: async (_options, context, onProgress) => ({
      ...(await work.expire(context, onProgress)),
    }),
  });
  const purge = makeCounted({
    name: 'purge',
    action: 'stale_purge',
    intervalMs: PURGE_INTERVAL_MS,
    options: { gracePeriodHours: DEFAULT_GRACE_PERIOD_HOURS },
    work: lockedWork(dryRun, 'stale_purge', async (options, context, onProgress) => ({
      ...(await work.purge(options, context, onProgress)),
    })),
  });
  const counts = make({
    name: 'counts',
    action: 'pool_counts',
    intervalMs: config.countIntervalMs,
    options: {},
    comeBack: pool.countAgainMs,
    work: async (_options, context) => ({ ...(await pool.countIfDue(context.signal))?.counts }),
  });
  const loops = [sync, cleanup, expiry, purge, counts];

  const stockPool = firstSync({ stocking, sync: sync.runNow, newId });
  const sweepExpired = async (signal: AbortSignal) => {
    const deleted = await deleteExpired(client, trusted.nowMs(), signal, ({ pk }, error) =>
      onChoreError('ttl_sweep')(new Error(`${pk} is left for the next sweep`, { cause: error })),
    );
    logger.debug({ action: 'ttl_sweep', deleted }, 'expired items deleted');
  };
  const tendLine = (signal: AbortSignal) => {
    const requestId = `line-${newId()}`;
    return work.tendLine({ actor: 'line', requestId, correlationId: requestId, signal });
  };
  const hints = refreshHints({ stateMark: pool.stateMark, refresh: core.readyList.refresh });
  const freeCooled = (signal: AbortSignal) => {
    const requestId = `cooldown-${newId()}`;
    return work.freeCooled({ actor: 'cooldown', requestId, correlationId: requestId, signal });
  };
  const chores = [
    createTicker(FIRST_SYNC_INTERVAL_MS, stockPool, onChoreError('first_sync')),
    createTicker(LINE_INTERVAL_MS, tendLine, onChoreError('line')),
    createTicker(REFRESH_INTERVAL_MS, hints, onChoreError('refresh')),
    createTicker(COOLDOWN_LOOK_INTERVAL_MS, freeCooled, onChoreError('cooldown')),
  ];
  if (config.store.kind === 'embedded') {
    chores.push(createTicker(TTL_SWEEP_INTERVAL_MS, sweepExpired, onChoreError('ttl_sweep')));
  }

  return {
    runs: { sync: sync.runNow, cleanup: cleanup.runNow, expire: expiry.runNow, purge: purge.runNow },
    /** What has become of each loop here, and when it tries next. */
    loopReports: (): LoopReport[] =>
      loops.map((loop) => ({
        name: loop.name,
        intervalMs: loop.intervalMs,
        nextRunAtMs: loop.nextRunAtMs(),
        ...memory.of(loop.name),
      })),
    /** Loops whose last run here failed, and whose interval no other replica has served since; of syncs the table knows. */
    failedLoops: () =>
      memory
        .failed()
        .filter(({ loop }) => loop !== sync.name)
        .map(({ loop, isPartial }) => (isPartial ? `${loop} (in part)` : loop)),
    heartbeats: Object.fromEntries(loops.map((loop) => [loop.name, loop.heartbeat])),
    start() {
      for (const each of [...loops, ...chores]) each.start();
    },
    /** Tells the runs under way, whoever began them, to stop at their next step, and begins no more. Idempotent. */
    async stopRuns() {
      // Nor is the pool counted for their sake any more: in a large one that takes as long as a run.
      await Promise.all([pool, ...loops].map((each) => each.stop()));
    },
    /** The chores go on until the last request is answered. */
    async stopChores() {
      await Promise.all(chores.map((chore) => chore.stop()));
    },
  };
}
