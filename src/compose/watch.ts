import type { Clock, NewId } from '../clock.ts';
import type { Config } from '../config/index.ts';
import { StoreUnavailableError } from '../domain/errors.ts';
import type { ReadinessFinding } from '../domain/readiness.ts';
import type { Resource } from '../domain/resilience/action.ts';
import type { Readiness } from '../http/routes/health.ts';
import { watchClock } from '../live/clock-watch.ts';
import { deletionReadiness, poolReadiness } from '../live/pool-readiness.ts';
import { runtimeReadiness, watchRuntime } from '../live/runtime-watch.ts';
import { createTicker } from '../loops/ticker.ts';
import {
  createHeartbeatMonitor,
  createReadiness,
  createRuntimeChecks,
  type Governor,
  type Heartbeat,
  type ReadinessCheck,
  type ReadinessReport,
  verdictText,
} from '../safety/index.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { storeChecks, untold } from '../store/runtime-checks.ts';
import type { Logger } from '../telemetry/logger.ts';
import { READINESS_CHECKS, type ReadinessCheckName } from '../telemetry/metric-labels.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { limitTime, untilAborted } from '../time-limit.ts';
import type { RaiseAlert } from '../usecases/alert.ts';
import type { PoolStats } from '../usecases/inventory/pool-stats.ts';
import type { Stocking } from '../usecases/inventory/stocking.ts';

const STORE_WITHIN_MS = 2_000;
/** It knows by itself when its time is over; this is for when it does not. */
const STORE_CHECK_WITHIN_MS = STORE_WITHIN_MS + 500;
/** What reads memory only: it has no reason to take longer. */
const MEMORY_WITHIN_MS = 200;
const RUNTIME_INTERVAL_MS = 300_000;

interface WatchOptions {
  config: Pick<Config, 'buckets' | 'heartbeatIntervalMs' | 'heartbeatTimeoutMs' | 'workerIntervalMs'>;
  client: StoreClient;
  clock: Clock;
  newId: NewId;
  logger: Logger;
  metrics: Pick<Metrics, 'heartbeatAge' | 'readiness' | 'clockOffset'>;
  alert: RaiseAlert;
  /** Of the loops, by name. */
  heartbeats: Readonly<Record<string, Heartbeat>>;
  worker: Heartbeat;
  governor: Pick<Governor<Resource>, 'status'>;
  /** Names of the circuit breakers that are not closed. */
  openBreakers: () => string[];
  /** The loops whose last run failed, in words, as far as this replica knows. */
  failedLoops: () => string[];
  poolStats: PoolStats;
  stocking: Stocking;
  isShuttingDown: () => boolean;
}

export type Watch = ReturnType<typeof composeWatch>;

/** What looks after the broker itself: heartbeats, checks of the store, and whether all is well; nothing runs before `start()`. */
export function composeWatch(options: WatchOptions) {
  const { config, client, clock, newId, logger, alert, stocking } = options;
  const monitor = createHeartbeatMonitor({
    clock,
    timeoutMs: config.heartbeatTimeoutMs,
    alert,
    onAge: (name, seconds) => options.metrics.heartbeatAge(name, seconds),
  });
  for (const [name, heartbeat] of Object.entries(options.heartbeats)) monitor.watch(name, heartbeat);
  monitor.watch(WORKER, options.worker, config.workerIntervalMs);

  const runtime = watchRuntime(
    createRuntimeChecks({
      checks: storeChecks({ client, buckets: config.buckets, clock, newId }),
      onError: untold,
    }).runAll,
    alert,
  );

  const inMemory = (
    name: ReadinessCheckName,
    otherwise: 'degraded' | 'failing',
    check: () => ReadinessFinding,
  ) => ({ name, otherwise, timeoutMs: MEMORY_WITHIN_MS, check });
  const degradedIf = (what: string, names: readonly string[]): ReadinessFinding =>
    names.length === 0 ? { state: 'ok' } : { state: 'degraded', detail: `${what} ${names.join(', ')}` };
  const unhealthy = () =>
    Object.entries(monitor.report()).flatMap(([name, report]) => (report.isHealthy ? [] : [name]));

  const checks: (ReadinessCheck & { name: ReadinessCheckName })[] = [
    {
      name: 'dynamodb',
      otherwise: 'failing',
      timeoutMs: STORE_CHECK_WITHIN_MS,
      check: (signal) => storeReadiness(stocking, signal),
    },
    {
      ...inMemory(
        'clock',
        'failing',
        watchClock({ clock, time: client.time, alert, onOffset: options.metrics.clockOffset }),
      ),
      refusal: 'CLOCK_OFF',
    },
    inMemory('runtime', 'degraded', () => runtimeReadiness(runtime.last())),
    inMemory('heartbeats', 'degraded', () =>
      degradedIf(
        'no sign of life from',
        unhealthy().filter((name) => name !== WORKER),
      ),
    ),
    inMemory('worker', 'degraded', () =>
      degradedIf(
        'no sign of life from the',
        unhealthy().filter((name) => name === WORKER),
      ),
    ),
    inMemory('governor', 'degraded', () =>
      options.governor.status().length > 0 ? { state: 'ok' } : { state: 'degraded', detail: 'no quotas' },
    ),
    inMemory('breakers', 'degraded', () => degradedIf('calls are suspended by', options.openBreakers())),
    inMemory('loops', 'degraded', () => degradedIf('the last run failed of', options.failedLoops())),
    inMemory('sync', 'degraded', () => stocking.readiness().sync),
    {
      ...inMemory('pool', 'degraded', () => {
        const { pool } = stocking.readiness();
        const counts = options.poolStats();
        const isWhole = counts && counts.asOfMs >= stocking.openSinceMs();
        return pool.state === 'ok' ? poolReadiness(isWhole ? counts : undefined) : pool;
      }),
      refusal: 'POOL_NOT_SYNCED',
    },
    inMemory('deletions', 'degraded', () => deletionReadiness(options.poolStats())),
    {
      ...inMemory('shutdown', 'failing', () =>
        options.isShuttingDown() ? { state: 'failing', detail: SHUTTING_DOWN } : { state: 'ok' },
      ),
      refusal: 'SHUTTING_DOWN',
    },
  ];

  /** In the log and the metrics. */
  function tell(report: ReadinessReport): void {
    for (const name of READINESS_CHECKS) options.metrics.readiness(name, report.checks[name]?.state ?? 'ok');
    const failed = Object.entries(report.checks).filter(([, finding]) => finding.state !== 'ok');
    const isExpected = report.verdict === 'go' || report.refusal === 'POOL_NOT_SYNCED';
    logger[isExpected || options.isShuttingDown() ? 'info' : 'warn'](
      { action: 'readiness', outcome: report.verdict, failed: Object.fromEntries(failed) },
      verdictText(report),
    );
  }

  const readiness = createReadiness({ checks, clock, onChange: tell });

  const chores = [
    createTicker(
      config.heartbeatIntervalMs,
      async () => {
        monitor.check();
        await readiness.runAll();
      },
      (error) => logger.warn({ action: 'watch', err: error }, 'a look at the broker failed'),
    ),
    createTicker(
      RUNTIME_INTERVAL_MS,
      async () => void (await runtime.look()),
      (error) => logger.warn({ action: 'watch', err: error }, 'a look at the store failed'),
    ),
  ];

  return {
    readiness,
    runtime,
    /** The first look at the store. What is worse than a warning is an alert by itself. */
    async lookFirst() {
      const warnings = (await runtime.look()).filter(({ status }) => status === 'warning');
      if (warnings.length === 0) return;
      const checks = Object.fromEntries(warnings.map(({ name, message }) => [name, message]));
      logger.warn({ action: 'start', checks }, `the store could be safer: ${Object.keys(checks).join(', ')}`);
    },
    heartbeats: monitor.report,
    /** For `/readyz`: served or not, and each check with its reason. */
    async probe(): Promise<Readiness> {
      const { verdict, reasons, refusal, checks: found } = await readiness.runAll();
      return {
        verdict,
        reasons,
        refusal,
        staysInService: Object.values(found).every((each) => each.state !== 'failing' || each.isShared),
        checks: Object.fromEntries(Object.entries(found).map(([name, each]) => [name, checkText(each)])),
      };
    },
    /** Something has changed that the checks look at; a look under way may have been before that. */
    lookAgain() {
      if (readiness.last()) void readiness.runAll().then(readiness.runAll);
    },
    /** The first look at everything; the loops have to be running. */
    async start() {
      monitor.check();
      const report = await readiness.runAll();
      for (const chore of chores) chore.start();
      return report;
    },
    async stop() {
      await Promise.all(chores.map((chore) => chore.stop()));
    },
  };
}

const WORKER = 'worker';
const SHUTTING_DOWN = 'shutting_down';

/**
 * Whether the table answers, and is the one that was opened. A store that does not answer is away from every replica: were
 * all to leave the service, callers would be told by a proxy that there is nothing, and not by the broker when to come again.
 */
async function storeReadiness(stocking: Stocking, signal: AbortSignal): Promise<ReadinessFinding> {
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

function checkText(finding: ReadinessFinding): string {
  switch (finding.state) {
    case 'ok':
      return 'ok';
    case 'degraded':
      return `degraded: ${finding.detail}`;
    case 'failing':
      return finding.detail === SHUTTING_DOWN ? SHUTTING_DOWN : `error: ${finding.detail}`;
  }
}
