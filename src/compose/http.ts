import type { FastifyInstance } from 'fastify';
import { buildApp } from '../app.ts';
import type { Clock, NewId } from '../clock.ts';
import type { Config } from '../config/index.ts';
import { loadConsoleFiles } from '../console/files.ts';
import type { Lifecycle } from '../live/lifecycle.ts';
import type { Counts } from '../live/pool-counts.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Stocking } from '../usecases/inventory/stocking.ts';
import type { Alerting } from './alerts.ts';
import type { Core } from './core.ts';
import type { Jobs } from './jobs.ts';
import type { Live } from './live.ts';
import type { Loops } from './loops.ts';
import type { Resilience } from './resilience.ts';
import type { Safety } from './safety.ts';
import type { Watch } from './watch.ts';

interface HttpOptions {
  config: Config;
  clock: Clock;
  newId: NewId;
  logger: Logger;
  metrics: Metrics;
  version: string;
  lifecycle: Pick<Lifecycle, 'stopping' | 'cutOff'>;
  /** When the start began, on the monotonic clock. */
  startedMs: number;
  /** What answers the requests. */
  parts: {
    alerting: Alerting;
    live: Live;
    resilience: Resilience;
    safety: Safety;
    core: Core;
    counts: Counts;
    stocking: Stocking;
    loops: Loops;
    jobs: Jobs;
    watch: Watch;
  };
}

/** The HTTP side of a broker, with the news that its console lives on; it listens to nothing yet. */
export function composeHttp({ config, clock, newId, logger, metrics, version, ...options }: HttpOptions): {
  app: FastifyInstance;
  news: { start(): void; stop(): Promise<void> };
} {
  const { alerting, live, resilience, safety, core, counts, stocking, loops, jobs, watch } = options.parts;
  const { breakers, statistics } = resilience;
  const status = {
    readiness: watch.readiness.last,
    heartbeats: watch.heartbeats,
    governor: safety.governor,
    queueLength: jobs.worker.queueLength,
    completedJobs: jobs.worker.completedJobs,
    runbookOf: alerting.runbookOf,
    newestAlerts: (limit: number) => alerting.alerts.recent({}, limit),
    idempotentOperations: jobs.idempotentOperations,
    breakers,
    provider: config.provider.kind,
    lastSync: stocking.lastSync,
    dryRun: safety.dryRun,
    replicas: core.register.living,
    poolStats: counts.last,
    loops: loops.loopReports,
    activity: live.series.recent,
    version,
    uptimeSeconds: () => Math.floor((performance.now() - options.startedMs) / 1000),
  };
  const news = live.connect({
    status,
    listJobs: jobs.useCases.listJobs,
    progressOf: jobs.progressOf,
    line: core.line,
  });
  const allocation: Metrics['allocation'] = (outcome, seconds, conflicts) => {
    metrics.allocation(outcome, seconds, conflicts);
    live.series.allocation(outcome, seconds);
    jobs.idempotency.counts.allocation(outcome);
  };
  const app = buildApp({
    useCases: {
      ...core.useCases,
      ...jobs.useCases,
      ...safety.useCases,
      allocateSandbox: stocking.guarding(core.useCases.allocateSandbox),
      allocateInLine: stocking.guarding(core.useCases.allocateInLine),
      allocateSeveral: stocking.guarding(core.useCases.allocateSeveral),
      bulkDelete: counts.added(core.useCases.bulkDelete),
      retryDeletions: counts.added(core.useCases.retryDeletions),
      releaseSandboxes: counts.added(core.useCases.releaseSandboxes),
      releaseSandbox: counts.added(core.useCases.releaseSandbox),
      retryDeletion: counts.added(core.useCases.retryDeletion),
      quarantineSandbox: counts.added(core.useCases.quarantineSandbox),
      restoreSandbox: counts.added(core.useCases.restoreSandbox),
      poolStats: counts.latest,
      listAlerts: alerting.listAlerts,
    },
    runs: loops.runs,
    breakers,
    retries: statistics,
    governor: safety.governor,
    dryRun: safety.dryRun,
    idempotency: jobs.idempotency,
    redact: safety.redact,
    readiness: watch.probe,
    watch: { ...watch, cardinality: metrics.cardinality },
    status,
    live: news.routes,
    consoleFiles: loadConsoleFiles,
    tokens: { track: config.trackTokens, admin: config.adminTokens, viewer: config.viewerTokens },
    rateLimit: { rps: config.rateLimit.requestsPerSecond, burst: config.rateLimit.burst },
    trustProxy: typeof config.trustProxy === 'object' ? [...config.trustProxy] : config.trustProxy,
    corsAllowedOrigins: config.corsAllowedOrigins,
    logger,
    lifecycle: options.lifecycle,
    metrics: { ...metrics, allocation },
    clock,
    newId,
    version,
  });
  return { app, news };
}
