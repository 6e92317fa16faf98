import type { Clock, NewId } from '../clock.ts';
import type { Config } from '../config/index.ts';
import { watchClock } from '../live/clock-watch.ts';
import { type ReadinessSources, readinessChecks, WORKER } from '../live/readiness-checks.ts';
import { tellReadiness, toReadyAnswer } from '../live/readiness-report.ts';
import { logWarnings, watchRuntime } from '../live/runtime-watch.ts';
import { SIGN_INTERVAL_MS, showRest } from '../live/spare-memory.ts';
import { createTicker } from '../loops/ticker.ts';
import {
  createHeartbeatMonitor,
  createReadiness,
  createRuntimeChecks,
  type Heartbeat,
} from '../safety/index.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { untold } from '../store/finding.ts';
import { storeChecks } from '../store/runtime-checks.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { RaiseAlert } from '../usecases/alert.ts';

const RUNTIME_INTERVAL_MS = 900_000;

interface WatchOptions extends Omit<ReadinessSources, 'heartbeats' | 'clock' | 'runtime'> {
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
  /** The most leases a second that are known to have been asked for. */
  peakPerSecond: () => number;
}

export type Watch = ReturnType<typeof composeWatch>;

/** What looks after the broker itself: heartbeats, checks of the store, and whether all is well; nothing runs before `start()`. */
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
    createRuntimeChecks({
      checks: storeChecks({
        client,
        buckets: config.buckets,
        clock,
        newId,
        peakPerSecond: options.peakPerSecond,
      }),
      onError: untold,
    }).runAll,
    alert,
  );

  const checks = readinessChecks({
    ...options,
    heartbeats: monitor.report,
    clock: watchClock({ clock, time: client.time, alert, onOffset: options.metrics.clockOffset }),
    runtime: runtime.last,
  });
  const readiness = createReadiness({ checks, clock, onChange: tellReadiness(options) });

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
    createTicker(
      SIGN_INTERVAL_MS,
      async () => showRest(),
      (error) => logger.warn({ action: 'watch', err: error }, 'memory is not given back'),
    ),
  ];

  return {
    readiness,
    runtime,
    /** The first look at the store. */
    lookFirst: async () => logWarnings(await runtime.look(), logger),
    heartbeats: monitor.report,
    /** For `/readyz`: served or not, and each check with its reason. */
    probe: async () => toReadyAnswer(await readiness.runAll()),
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
