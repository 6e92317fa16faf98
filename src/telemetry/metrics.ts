import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Clock } from '../clock.ts';
import { READINESS_STATES, type ReadinessState } from '../domain/readiness.ts';
import {
  type Action,
  IRREVERSIBLE_ACTIONS,
  RECORDED_ACTIONS,
  RESOURCES,
  type Resource,
} from '../domain/resilience/action.ts';
import { BREAKER_STATES, type BreakerState } from '../domain/resilience/breaker.ts';
import { EFFECT_OUTCOMES, type EffectOutcome } from '../domain/resilience/effect.ts';
import { RETRY_BUCKETS, type RetryBucket } from '../domain/resilience/retry-window.ts';
import { RUN_OUTCOMES, type RunOutcome } from '../domain/run-outcome.ts';
import { POOL_STATUSES, type PoolStatus } from '../domain/sandbox.ts';
import { type AlertMetrics, createAlertMetrics } from './alert-metrics.ts';
import { createInstruments, type GuardedCounter } from './instruments.ts';
import { createJobMetrics, type JobMetrics } from './job-metrics.ts';
import { ALLOCATION_BUCKETS, createLeaseMetrics, type LeaseMetrics } from './lease-metrics.ts';
import { createLineMetrics, type LineMetrics } from './line-metrics.ts';
import {
  BREAKERS,
  type BreakerName,
  LOOPS,
  type Loop,
  METHODS,
  OTHER,
  PROVIDER_OPERATIONS,
  PROVIDER_OUTCOMES,
  READINESS_CHECKS,
  type ReadinessCheckName,
  STORE_OPERATIONS,
  STORE_OUTCOMES,
  storeOutcome,
  UNMATCHED,
} from './metric-labels.ts';
import { createMetricsGuard, type MetricsGuardReport } from './metrics-guard.ts';

/** Everything the broker counts and measures. All durations are seconds. */
export interface Metrics extends AlertMetrics, JobMetrics, LeaseMetrics, LineMetrics {
  /**
   * A loop's run, or its being skipped. Of `counts` these become counters: `synced` and `stale` (sync), `deleted` and
   * `failed` (cleanup), `marked` (expiry).
   */
  loopRun(loop: Loop, outcome: RunOutcome, seconds: number, counts: Readonly<Record<string, number>>): void;
  /** An HTTP answer. `route` is the route's template; undefined when no route took the request. */
  request(method: string, route: string | undefined, status: number, seconds: number): void;
  /** A call to the store. `outcome` is `success` or the error's name. */
  storeCall(operation: string, outcome: string, seconds: number): void;
  providerCall(
    operation: (typeof PROVIDER_OPERATIONS)[number],
    outcome: (typeof PROVIDER_OUTCOMES)[number],
    seconds: number,
  ): void;
  setPoolCounts(pool: { counts: Readonly<Record<PoolStatus, number>>; total: number; asOfMs: number }): void;
  rateLimited(): void;
  /** How a call for a side effect that must happen once ended. */
  effect(type: string, outcome: EffectOutcome): void;
  /** Seconds since a loop's, or the worker's, last sign of life. */
  heartbeatAge(loop: string, seconds: number): void;
  /** A line of the log that nobody took, and that was dropped. */
  logDropped(): void;
  /** How far this replica's clock is ahead of the store's; negative: behind. */
  clockOffset(seconds: number): void;
  /** An irreversible action that a dry run held back. */
  dryRunBlocked(action: Action): void;
  /** Something whose quota was used up. */
  governorDenied(resource: Resource): void;
  /** A task is over that was tried so often. */
  retryEnded(attempts: RetryBucket): void;
  circuitState(name: BreakerName, state: BreakerState): void;
  /** How a check of this replica's readiness came out last. */
  readiness(check: ReadinessCheckName, state: ReadinessState): void;
  /** What the guard over the number of series has seen. */
  cardinality(): MetricsGuardReport;
  /** What a scrape gets: last known values, nothing is waited for. */
  text(): Promise<{ contentType: string; body: string }>;
}

const VIOLATIONS = 'broker_metrics_cardinality_violations_total';
const REQUEST_BUCKETS = [0.001, 0.005, ...ALLOCATION_BUCKETS, 2.5, 5, 10, 30];
const STORE_BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 3];
const PROVIDER_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15];
const LOOP_BUCKETS = [0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900];

/**
 * Types by what Prometheus' naming check takes: a name on `_total` is a counter's and any other is none, whatever older
 * names stand for. What prom-client brings itself claims no type.
 */
const TYPES: Readonly<Record<string, string>> = {
  broker_pool_total: 'counter',
  broker_allocate_conflicts: 'gauge',
  broker_allocate_idempotent_hits: 'gauge',
};
const RETYPED = new RegExp(`^# TYPE (${Object.keys(TYPES).join('|')}|nodejs_active_\\w+_total) .*$`, 'gm');

/** The broker's metrics on a registry of their own; `clock` dates the pool's counts and the loops' successes. */
export function createMetrics(clock: Clock): Metrics {
  const registry = new Registry();
  const guard = createMetricsGuard({
    mode: 'strict',
    onViolation(metric) {
      // The count of violations is one series per metric, and there are fewer of those than a label may have values.
      if (metric !== VIOLATIONS) violations.inc({ metric });
    },
  });
  const instruments = createInstruments(registry, guard);
  const { counter, gauge, histogram } = instruments;
  const violations: GuardedCounter<'metric'> = counter(
    VIOLATIONS,
    'Labels refused, and values counted as other, to keep the number of series bounded',
    { metric: [] },
  );
  collectDefaultMetrics({ register: registry });

  const runs: Partial<Record<Loop, GuardedCounter<'outcome'>>> = {
    sync: counter('broker_sync_total', "Reads of the provider's inventory", { outcome: RUN_OUTCOMES }),
    cleanup: counter('broker_cleanup_total', 'Cleanups of returned sandboxes', { outcome: RUN_OUTCOMES }),
    expiry: counter('broker_expiry_total', 'Searches for expired leases', { outcome: RUN_OUTCOMES }),
  };
  const runCounts: Partial<Record<Loop, Record<string, GuardedCounter<never>>>> = {
    sync: {
      synced: counter('broker_sync_sandboxes_synced_total', 'Sandboxes found in the inventory by syncs'),
      stale: counter('broker_sync_sandboxes_stale_total', 'Sandboxes marked stale by syncs'),
      recent: counter('broker_sync_sandboxes_recent_total', 'Changed around a listing, and left alone'),
      still_listed: counter('broker_sync_sandboxes_still_listed_total', 'Deleted, and listed still'),
    },
    cleanup: {
      deleted: counter('broker_cleanup_deleted_total', 'Sandboxes deleted by cleanups'),
      failed: counter('broker_cleanup_failed_total', 'Deletes that failed in cleanups'),
      still_listed: counter('broker_cleanup_still_listed_total', 'Deleted, and listed still'),
    },
    expiry: { marked: counter('broker_expiry_marked_total', 'Expired leases whose sandbox was taken back') },
  };
  const lastSuccess = gauge(
    'broker_loop_last_success_timestamp_seconds',
    'When the loop last succeeded on this replica; 0 before its first success',
    { loop: LOOPS },
  );
  const runSeconds = histogram('broker_loop_duration_seconds', 'Length of a run of the loop', LOOP_BUCKETS, {
    loop: LOOPS,
  });

  const requests = counter('http_requests_total', 'HTTP answers', { method: [], endpoint: [], status: [] });
  const requestSeconds = histogram(
    'broker_request_latency_seconds',
    'Time from a request to its answer',
    REQUEST_BUCKETS,
    {
      method: [],
      endpoint: [],
      status: [],
    },
  );
  const heartbeatAge = gauge(
    'broker_heartbeat_age_seconds',
    "Time since the loop's, or the worker's, last sign of life",
    { loop: [...LOOPS, 'worker'] },
  );
  const effects = counter('broker_effects_total', 'Calls for a side effect that must happen once', {
    type: RECORDED_ACTIONS,
    outcome: EFFECT_OUTCOMES,
  });
  const rateLimited = counter('broker_rate_limited_total', 'Requests refused by the rate limit');

  const dryRunBlocked = counter(
    'broker_dry_run_blocked_total',
    'Irreversible actions that a dry run held back',
    { action: IRREVERSIBLE_ACTIONS },
  );
  const governorDenied = counter('broker_governor_denied_total', 'Uses refused by the governor', {
    resource: RESOURCES,
  });

  const storeLabels = { operation: STORE_OPERATIONS, outcome: STORE_OUTCOMES };
  const storeCalls = counter('broker_store_calls_total', 'Calls to the store, retries included', storeLabels);
  const storeSeconds = histogram(
    'broker_store_call_seconds',
    'Time of a call to the store',
    STORE_BUCKETS,
    storeLabels,
  );
  const providerLabels = { operation: PROVIDER_OPERATIONS, outcome: PROVIDER_OUTCOMES };
  const providerCalls = counter('broker_provider_calls_total', 'Calls to the provider', providerLabels);
  const providerSeconds = histogram(
    'broker_provider_call_seconds',
    'Time of a call to the provider',
    PROVIDER_BUCKETS,
    providerLabels,
  );

  const retries = counter('broker_retry_attempts_total', 'Tasks that are over, by their attempts', {
    bucket: RETRY_BUCKETS,
  });
  const circuits = gauge('broker_circuit_state', 'Circuit breakers: 0 closed, 1 open, 2 half-open', {
    name: BREAKERS,
  });
  const readiness = gauge(
    'broker_readiness',
    'Checks of this replica: 0 ok, 1 serving all the same, 2 not serving',
    { check: READINESS_CHECKS },
  );

  const poolTotal = gauge(
    'broker_pool_total',
    'Sandboxes in the pool, whatever their status: a level, though its name makes it a counter',
  );
  const pool = POOL_STATUSES.map((status) => ({
    status,
    count: gauge(`broker_pool_${status}`, `Sandboxes in the pool that are ${status}`),
  }));
  const logDropped = counter('broker_log_lines_dropped_total', 'Log lines lost because nobody read them');
  const clockOffset = gauge(
    'broker_clock_offset_seconds',
    "How far the clock is ahead of the store's; negative: behind; 0: no difference can be told",
  );
  // Never counted is as old as the process: the age grows, and an alert on it fires.
  let countedAtMs = clock.nowMs();
  const countsAge = gauge('broker_pool_counts_age_seconds', 'Age of the counts of the pool');

  return {
    ...createAlertMetrics(instruments),
    ...createJobMetrics(instruments),
    ...createLeaseMetrics(instruments),
    ...createLineMetrics(instruments),
    loopRun(loop, outcome, seconds, counts) {
      runs[loop]?.inc({ outcome });
      for (const [name, total] of Object.entries(runCounts[loop] ?? {})) total.inc({}, counts[name] ?? 0);
      if (outcome === 'skipped') return;
      runSeconds.observe({ loop }, seconds);
      if (outcome === 'success') lastSuccess.set({ loop }, clock.nowMs() / 1000);
    },
    request(method, route, status, seconds) {
      const known = (METHODS as readonly string[]).includes(method);
      const labels = { method: known ? method : OTHER, endpoint: route ?? UNMATCHED, status: String(status) };
      requests.inc(labels);
      requestSeconds.observe(labels, seconds);
    },
    storeCall(operation, errorName, seconds) {
      const known = (STORE_OPERATIONS as readonly string[]).includes(operation);
      const labels = { operation: known ? operation : OTHER, outcome: storeOutcome(errorName) };
      storeCalls.inc(labels);
      storeSeconds.observe(labels, seconds);
    },
    providerCall(operation, outcome, seconds) {
      providerCalls.inc({ operation, outcome });
      providerSeconds.observe({ operation, outcome }, seconds);
    },
    setPoolCounts({ counts, total, asOfMs }) {
      for (const { status, count } of pool) count.set({}, counts[status]);
      poolTotal.set({}, total);
      countedAtMs = asOfMs;
    },
    rateLimited: () => rateLimited.inc({}),
    effect: (type, outcome) => effects.inc({ type, outcome }),
    heartbeatAge: (loop, seconds) => heartbeatAge.set({ loop }, seconds),
    logDropped: () => logDropped.inc({}),
    clockOffset: (seconds) => clockOffset.set({}, seconds),
    dryRunBlocked: (action) => dryRunBlocked.inc({ action }),
    governorDenied: (resource) => governorDenied.inc({ resource }),
    retryEnded: (bucket) => retries.inc({ bucket }),
    circuitState: (name, state) => circuits.set({ name }, BREAKER_STATES.indexOf(state)),
    readiness: (check, state) => readiness.set({ check }, READINESS_STATES.indexOf(state)),
    cardinality: guard.report,
    async text() {
      countsAge.set({}, Math.max(0, clock.nowMs() - countedAtMs) / 1000);
      const body = await registry.metrics();
      const typed = body.replace(RETYPED, (_, name) => `# TYPE ${name} ${TYPES[name] ?? 'untyped'}`);
      return { contentType: registry.contentType, body: typed };
    },
  };
}
