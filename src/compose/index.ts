import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import { type Clock, type NewId, systemClock } from '../clock.ts';
import { type Config, configSecrets } from '../config/index.ts';
import { VERSION } from '../config/version.ts';
import { createLifecycle } from '../live/lifecycle.ts';
import { createPoolDifferences } from '../live/pool-differences.ts';
import { remakeTable } from '../loops/remake-table.ts';
import type { AlertEvents } from '../safety/index.ts';
import { gatherReads } from '../store/dynamo/gathered-reads.ts';
import { openTable } from '../store/table.ts';
import type { LogOutput } from '../telemetry/log-output.ts';
import { flushLogs, type Logger } from '../telemetry/logger.ts';
import { BREAKERS } from '../telemetry/metric-labels.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { pause } from '../time-limit.ts';
import { composeAlerts, composeAlertWebhook } from './alerts.ts';
import { composeBeat } from './beat.ts';
import { composeCore, coreSettings } from './core.ts';
import { composeHttp } from './http.ts';
import { composeJobs } from './jobs.ts';
import { composeLive } from './live.ts';
import { announceStart, composeLog } from './log.ts';
import { composeLoops } from './loops.ts';
import { composePool } from './pool.ts';
import { composeProvider } from './provider.ts';
import { composeResilience, type Resilience } from './resilience.ts';
import { composeSafety } from './safety.ts';
import { onEmptied, openStore, startEmbeddedEngine } from './store.ts';
import { composeWatch, type Watch } from './watch.ts';

/** A whole broker in one process, not started. */
export interface Broker {
  readonly logger: Logger;
  /** To be called when the process ends, for its last lines: nothing can be logged afterwards. */
  endLogs(): void;
  /**
   * Brings up engine, table, HTTP and loops, in this order. Throws what stops the start; call `stop()` then, too.
   * `SHUTTING_DOWN`: a `stop()` meanwhile ended it, and takes down what was up.
   */
  start(): Promise<{ url: string }>;
  /**
   * Not ready any more, and every run told to stop at its next step → drain → finish requests → give up turns, claims
   * and the replica's record → end the engine → flush logs. Idempotent: a second call awaits the first.
   */
  stop(): Promise<void>;
  /** Emits every alert of this replica. */
  readonly events: AlertEvents;
  /** The step that the shutdown is at, for naming what hung. */
  stopStep(): string | undefined;
}

export interface BrokerOverrides {
  clock?: Clock;
  newId?: NewId;
  /** Where its log goes; else to standard output. */
  logOutput?: LogOutput;
  /** How often it says that it lives, and looks at the others, milliseconds; else every ten seconds. */
  beatIntervalMs?: number;
}

/** A delete at the provider may take its own time-outs and some for waiting in line. */
const DELETE_TIMEOUT_MS = 45_000;
const OPEN_TABLE_WITHIN_MS = 60_000;
const SHUTDOWN_STORE_WITHIN_MS = 2_000;
/** The part of a shutdown that is left for giving up turns and the replica's record, and for ending the engine. */
const GIVE_UP_MS = 5_000;

/** Builds a broker from its configuration; nothing runs before `start()`. */
export function composeBroker(config: Config, overrides: BrokerOverrides = {}): Broker {
  const clock = overrides.clock ?? systemClock;
  const newId = overrides.newId ?? randomUUID;
  const replicaId = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const metrics = createMetrics(clock);
  const { logger, endLogs } = composeLog(config, metrics, overrides.logOutput);
  const events: AlertEvents = new EventEmitter();

  const { shutdownTimeoutMs } = config;
  const lifecycle = createLifecycle({
    cutOffMs: shutdownTimeoutMs - Math.min(GIVE_UP_MS, shutdownTimeoutMs / 2),
    // What cannot be given up lapses by itself; the rest of the shutdown goes on.
    onFailure: (step, error) =>
      logger.warn({ action: 'shutdown', step, err: error }, 'a step of the shutdown failed'),
  });

  async function bringUp(): Promise<{ url: string }> {
    const startedMs = performance.now();
    announceStart(config, logger, { version: VERSION, replica: replicaId });

    const engine = await startEmbeddedEngine(config, logger, lifecycle.stopping);
    if (engine) lifecycle.up('end the engine', () => engine.stop());
    // Closed after the store: a delete that is broken off with it is left as its record says, and nobody writes a failure.
    const provider = composeProvider(config, metrics.providerCall);
    lifecycle.up('close the provider', () => provider.close());
    // The statistics of retries are kept in the store whose retries they count.
    let storeRetried: Resilience['statistics']['storeRetried'] | undefined;
    const client = openStore(config, engine, metrics.storeCall, (...retry) => storeRetried?.(...retry));
    lifecycle.up('close the store', async () => client.close());
    const opening = AbortSignal.any([AbortSignal.timeout(OPEN_TABLE_WITHIN_MS), lifecycle.stopping]);
    await openTable(client, { buckets: config.buckets, create: config.createTable }, opening);
    // What is looked at now and then, at the same moment, costs one call.
    const basis = { config, client: gatherReads(client), clock, newId, logger, metrics };
    const alerting = composeAlerts({ ...basis, replicaId, events });
    const alert = alerting.alerts.raise;
    const shared = { ...basis, alert };
    const live = composeLive({ clock, logger, events, runbookOf: alerting.runbookOf });
    lifecycle.up('store the alerts', alerting.flushAlerts);

    const resilience = composeResilience({
      ...shared,
      provider,
      deleteTimeoutMs: DELETE_TIMEOUT_MS,
      stopping: lifecycle.stopping,
    });
    const { statistics, breakers } = resilience;
    storeRetried = statistics.storeRetried;
    const soon = () => AbortSignal.timeout(SHUTDOWN_STORE_WITHIN_MS);
    lifecycle.up('tell the other replicas of retries', () => statistics.share(soon()));
    const safety = composeSafety({
      client: basis.client,
      clock,
      newId,
      alert,
      secrets: configSecrets(config),
      metrics,
      dryRun: config.dryRun,
      quotas: config.quotas,
    });
    lifecycle.up(
      'send the alerts',
      composeAlertWebhook({ config, alerts: alerting.alerts, safety, resilience, clock, logger, metrics }),
    );
    const onBackgroundError = (chore: string, error: unknown) =>
      logger.warn({ action: chore, outcome: 'error', err: error }, 'a chore failed and will be tried again');
    const own = createPoolDifferences(clock);
    const core = composeCore({
      ...coreSettings(config),
      client,
      safety,
      provider: resilience.provider,
      deleteBreaker: breakers.csp_delete,
      onParked: resilience.onParked,
      line: {
        ...config.line,
        expiryIntervalMs: config.expiryIntervalMs,
        cleanupIntervalMs: config.cleanupIntervalMs,
        stopping: lifecycle.stopping,
        onEnded: metrics.placeEnded,
        onLook: metrics.line,
      },
      clock,
      newId,
      replicaId,
      deleteTimeoutMs: DELETE_TIMEOUT_MS,
      alert,
      survey: () => counts.survey(),
      onSandboxChange({ seen, next, event }) {
        own.note(seen?.status, next.status);
        live.onSandboxChange(next, event);
      },
      onUnreadable: (sortKey, error) =>
        logger.error(
          { action: 'read', sort_key: sortKey, err: error },
          'a record in the table cannot be read',
        ),
      onBackgroundError,
    });
    const { stocking, counts } = composePool({
      core,
      client: basis.client,
      clock,
      metrics,
      changes: live.sandboxChanges,
      own,
      newId,
      intervalMs: config.countIntervalMs,
      watchPool: alerting.watchPool,
      onTurn: () => watch.lookAgain(),
      onError: onBackgroundError,
    });
    const loops = composeLoops({
      ...shared,
      core,
      safety,
      deleteBreaker: breakers.csp_delete,
      counts,
      stocking,
      shareRetries: statistics.share,
      cutOff: lifecycle.cutOff,
    });
    const remake = remakeTable({
      openTable: (signal) => openTable(client, { buckets: config.buckets, create: true }, signal),
      forget: core.readyList.forget,
      sync: loops.runs.sync,
      newId,
      logger,
    });
    onEmptied(config, engine, remake);
    const jobs = composeJobs({
      ...shared,
      replicaId,
      runs: loops.runs,
      onJob: live.onJob,
    });
    const watch: Watch = composeWatch({
      ...shared,
      heartbeats: loops.heartbeats,
      worker: jobs.worker.heartbeat,
      governor: safety.governor,
      openBreakers: () => BREAKERS.filter((name) => breakers[name].report().state !== 'closed'),
      failedLoops: loops.failedLoops,
      poolStats: counts.last,
      stocking,
      isStoreSilent: client.isSilent,
      peakPerSecond: () => live.series.peakPerSecond() * core.register.rank().replicas,
      isShuttingDown: () => lifecycle.stopping.aborted,
    });
    const { app, news } = composeHttp({
      ...basis,
      version: VERSION,
      startedMs,
      lifecycle,
      parts: { alerting, live, resilience, safety, core, counts, stocking, loops, jobs, watch },
    });
    lifecycle.up('leave the register of replicas', () => core.register.leave(soon()));
    const beat = composeBeat({
      parts: { core, counts, stocking, jobs, safety, resilience },
      newId,
      onError: onBackgroundError,
      intervalMs: overrides.beatIntervalMs,
    });
    await Promise.all([beat.prepare(lifecycle.stopping), watch.lookFirst()]);
    lifecycle.up('end the beat', beat.stop);
    lifecycle.up('end the chores', loops.stopChores);
    lifecycle.up('end the runs', loops.stopRuns);
    lifecycle.up('put the jobs back', jobs.worker.stop);
    lifecycle.stopping.addEventListener('abort', () => {
      // All of them at once, to be awaited later. The jobs first: one whose run is told by its loop would seem to have
      // ended by itself.
      void jobs.worker.stop();
      void loops.stopRuns();
    });
    const url = await app.listen({ host: config.host, port: config.port });
    lifecycle.up('finish the requests', () => app.close());
    loops.start();
    beat.start();
    jobs.worker.start();
    news.start();
    lifecycle.up('end the news', news.stop);
    const { verdict } = await watch.start();
    lifecycle.up('end the watch', watch.stop);
    lifecycle.up('drain', () => pause(config.shutdownDrainMs, new AbortController().signal));
    logger.info(
      {
        action: 'start',
        outcome: 'success',
        verdict,
        url,
        latency_ms: Math.round(performance.now() - startedMs),
      },
      `${verdict === 'go' ? 'ready' : 'listening'}: API ${url}/v1, console ${url}/console, docs ${url}/v1/docs`,
    );
    return { url };
  }

  async function takeDown(): Promise<void> {
    logger.info({ action: 'shutdown' }, 'shutting down');
    await lifecycle.stop();
    logger.info({ action: 'shutdown', outcome: 'success' }, 'stopped');
    await flushLogs(logger);
  }
  let stopped: Promise<void> | undefined;

  return {
    logger,
    endLogs,
    events,
    start: () => lifecycle.start(bringUp),
    stop: () => {
      stopped ??= takeDown();
      return stopped;
    },
    stopStep: lifecycle.step,
  };
}
