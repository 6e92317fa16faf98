import type { Clock, NewId } from './clock.ts';
import type { Config } from './config.ts';
import type { Heartbeat } from './loops/heartbeat.ts';
import { createHeartbeatMonitor } from './loops/heartbeat-monitor.ts';
import { createTicker } from './loops/ticker.ts';
import type { Governor } from './safety/governor.ts';
import type { StoreClient } from './store/client.ts';
import { LAYOUT_KEY } from './store/keys.ts';
import { checkRuntime } from './store/runtime-checks.ts';
import type { Logger } from './telemetry/logger.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { RaiseAlert } from './usecases/alert.ts';
import { createReadiness, type ReadinessCheck, type ReadinessFinding } from './usecases/readiness.ts';
import { runtimeReadiness, watchRuntime } from './usecases/watch-runtime.ts';

const STORE_WITHIN_MS = 2_000;
/** What reads memory only: it has no reason to take longer. */
const MEMORY_WITHIN_MS = 200;
const RUNTIME_INTERVAL_MS = 300_000;

interface WatchOptions {
  config: Pick<Config, 'buckets' | 'heartbeatIntervalMs' | 'heartbeatTimeoutMs' | 'workerIntervalMs'>;
  client: StoreClient;
  clock: Clock;
  newId: NewId;
  logger: Logger;
  metrics: Pick<Metrics, 'heartbeatAge'>;
  alert: RaiseAlert;
  /** Of the loops, by name. */
  heartbeats: Readonly<Record<string, Heartbeat>>;
  worker: Heartbeat;
  governor: Pick<Governor, 'report'>;
  /** Names of the circuit breakers that are not closed. */
  openBreakers: () => string[];
  isShuttingDown: () => boolean;
}

export type Watch = ReturnType<typeof composeWatch>;

/** What looks after the broker itself: heartbeats, checks of the store, and GO or NO-GO; nothing runs before `start()`. */
export function composeWatch(options: WatchOptions) {
  const { config, client, clock, newId, logger, alert } = options;
  const monitor = createHeartbeatMonitor({
    clock,
    timeoutMs: config.heartbeatTimeoutMs,
    alert,
    onAge: (name, seconds) => options.metrics.heartbeatAge(name, seconds),
  });
  for (const [name, heartbeat] of Object.entries(options.heartbeats)) monitor.watch(name, heartbeat);
  monitor.watch(WORKER, options.worker, config.workerIntervalMs);

  const runtime = watchRuntime(
    (signal) => checkRuntime({ client, buckets: config.buckets, clock, newId }, signal),
    alert,
  );

  const inMemory = (
    name: string,
    otherwise: ReadinessCheck['otherwise'],
    check: () => ReadinessFinding,
  ): ReadinessCheck => ({ name, otherwise, timeoutMs: MEMORY_WITHIN_MS, check });
  const degradedIf = (names: readonly string[]): ReadinessFinding =>
    names.length === 0 ? { state: 'ok' } : { state: 'degraded', detail: names.join(', ') };
  const unhealthy = () =>
    Object.entries(monitor.report()).flatMap(([name, report]) => (report.isHealthy ? [] : [name]));

  const readiness = createReadiness(
    [
      {
        name: 'dynamodb',
        otherwise: 'failing',
        timeoutMs: STORE_WITHIN_MS,
        check: async (signal) => ({ state: (await client.get(LAYOUT_KEY, signal)) ? 'ok' : 'failing' }),
      },
      inMemory('runtime', 'degraded', () => runtimeReadiness(runtime.last())),
      inMemory('heartbeats', 'degraded', () => degradedIf(unhealthy().filter((name) => name !== WORKER))),
      inMemory('worker', 'degraded', () => degradedIf(unhealthy().filter((name) => name === WORKER))),
      inMemory('governor', 'degraded', () =>
        options.governor.report().length > 0 ? { state: 'ok' } : { state: 'degraded', detail: 'no quotas' },
      ),
      inMemory('breakers', 'degraded', () => degradedIf(options.openBreakers())),
      inMemory('shutdown', 'failing', () =>
        options.isShuttingDown() ? { state: 'failing', detail: 'shutting_down' } : { state: 'ok' },
      ),
    ],
    clock,
    ({ isReady, isServing, checks }) => {
      const failed = Object.entries(checks).filter(([, finding]) => finding.state !== 'ok');
      logger[isReady || options.isShuttingDown() ? 'info' : 'warn'](
        {
          action: 'readiness',
          outcome: isReady ? 'go' : 'no_go',
          serving: isServing,
          failed: Object.fromEntries(failed),
        },
        isReady ? 'GO' : 'NO-GO',
      );
    },
  );

  const chores = [
    createTicker(
      config.heartbeatIntervalMs,
      async () => {
        monitor.check();
        await readiness.evaluate();
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
    heartbeats: monitor.report,
    /** For `/readyz`: served or not, and each check's state. */
    async probe() {
      const report = await readiness.evaluate();
      const checks = Object.entries(report.checks).map(([name, { state, detail }]) => [
        name,
        name === 'shutdown' && state !== 'ok' ? (detail ?? state) : state,
      ]);
      return { ready: report.isServing, checks: Object.fromEntries(checks) as Record<string, string> };
    },
    /** The first look at everything; the loops have to be running. */
    async start() {
      monitor.check();
      await readiness.evaluate();
      for (const chore of chores) chore.start();
    },
    async stop() {
      await Promise.all(chores.map((chore) => chore.stop()));
    },
  };
}

const WORKER = 'worker';
