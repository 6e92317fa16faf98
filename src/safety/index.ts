// The public entry `sandbox-broker/safety`: what is not named here may change. The broker itself imports no other file.
export { type Clock, type NewId, systemClock } from '../clock.ts';
export { BrokerError, type ErrorCode } from '../domain/errors.ts';
export type {
  Alert,
  AlertFilter,
  AlertSeverity,
  AlertStore,
  RaiseAlert,
  RaisedAlert,
} from '../domain/resilience/alert.ts';
export type {
  BreakerRules,
  BreakerState,
  BreakerStore,
  Trip,
  TripReason,
} from '../domain/resilience/breaker.ts';
export type { EffectOutcome, EffectRecords } from '../domain/resilience/effect.ts';
export type { Quota, QuotaStore } from '../domain/resilience/quota.ts';
export type {
  EndedWindow,
  OpenWindow,
  RetryBucket,
  RetryWindowStore,
  WindowAnomaly,
} from '../domain/resilience/retry-window.ts';
export {
  acceptCorrelationId,
  type Correlation,
  currentCorrelation,
  runWithCorrelation,
} from '../telemetry/correlation.ts';
export { createLogger, flushLogs, type Logger, type LoggerOptions } from '../telemetry/logger.ts';
export {
  createMetricsGuard,
  type MetricsGuard,
  type MetricsGuardOptions,
  type MetricsGuardReport,
} from '../telemetry/metrics-guard.ts';
export { type AlertListener, type Alerts, type AlertsOptions, createAlerts } from './alerts/alerts.ts';
export { createCooldown } from './alerts/cooldown.ts';
export { type AlertEvents, countAlerts, emitAlerts, logAlerts } from './alerts/hooks.ts';
export { type AlertRecorder, createAlertRecorder } from './alerts/recorder.ts';
export { type TellWebhookOptions, tellWebhook } from './alerts/tell-webhook.ts';
export { type AlertWebhook, createAlertWebhook } from './alerts/webhook.ts';
export { deliverWebhook } from './alerts/webhook-delivery.ts';
export { createWebhookHttp } from './alerts/webhook-http.ts';
export { WEBHOOK_FORMATS, type WebhookFormat } from './alerts/webhook-payload.ts';
export {
  type Breaker,
  type BreakerDeps,
  BreakerOpenError,
  type BreakerReport,
  createBreaker,
} from './breaker/breaker.ts';
export type { Transition } from './breaker/shared-breaker.ts';
export { transitionAlert } from './breaker/transition-alert.ts';
export {
  type DatabaseChoice,
  type DatabaseOptions,
  openSandboxDatabase,
  type SandboxDatabase,
} from './database/sandbox-database.ts';
export type { Actions, Reversibility } from './dry-run/actions.ts';
export {
  createDryRunLock,
  DRY_RUN_STATUSES,
  type DryRunEntry,
  type DryRunLock,
  type DryRunOptions,
  type DryRunResult,
  type DryRunStatus,
  dryRunResult,
  isDryRun,
  refuseIfLocked,
} from './dry-run/dry-run.ts';
export {
  canonicalJson,
  type EffectKey,
  effectKey,
  effectKeyPrefix,
  parseEffectKey,
} from './effects/effect-key.ts';
export {
  createSideEffects,
  type OnceOptions,
  type SideEffects,
  type SideEffectsOptions,
} from './effects/side-effects.ts';
export {
  type Describe,
  type IrreversibleAdapter,
  irreversibleAdapter,
} from './guard/adapter.ts';
export {
  createGuard,
  type Guard,
  type GuardedAction,
  type GuardOptions,
  type GuardOutcome,
  type GuardRunOptions,
} from './guard/guard.ts';
export { createHeartbeat, type Heartbeat, restBeating } from './heartbeat/heartbeat.ts';
export {
  createHeartbeatMonitor,
  type HeartbeatMonitor,
  type HeartbeatMonitorOptions,
  type HeartbeatReport,
} from './heartbeat/heartbeat-monitor.ts';
export {
  createIdempotency,
  type Idempotency,
  type IdempotencyOptions,
  keepRenewing,
  keyInProgress,
  keyReused,
  type ProcessOptions,
} from './idempotency/idempotency.ts';
export {
  createSandboxOrchestrator,
  type OrchestratorOptions,
  type OrchestratorStatus,
  type SandboxOrchestrator,
  type Systems,
} from './orchestrator/sandbox-orchestrator.ts';
export {
  createGovernor,
  type Governor,
  type GovernorOptions,
  type GovernorRow,
  MAX_WINDOW_SECONDS,
  type QuotaAlert,
  quotaExceeded,
  type ResourceQuota,
  type Violation,
} from './quota/governor.ts';
export {
  createReadiness,
  type Readiness,
  type ReadinessCheck,
  type ReadinessOptions,
  type ReadinessReport,
  verdictText,
} from './readiness/readiness.ts';
export {
  createRuntimeChecks,
  type RuntimeChecks,
  type RuntimeChecksOptions,
  type RuntimeFinding,
} from './readiness/runtime-checks.ts';
export { type Redact, redaction } from './redacted.ts';
export { attemptsBucket, createRetryHistogram, type RetryHistogram } from './retry/histogram.ts';
export { createRetryRate, type RateReport, type RetryRate } from './retry/rate.ts';
export {
  createRetry,
  DEFAULT_RETRY_POLICY,
  type Retry,
  type RetryDeps,
  type RetryPolicy,
  type RetryRunOptions,
} from './retry/retry.ts';
export { readRetryAfterMs } from './retry/retry-after.ts';
export { type Classify, classify, type Health, healthOf, tripOf } from './retry/retryable.ts';
export { createSpikeDetector, type Spike, type SpikeDetector } from './retry/spikes.ts';
export { createRetryStatistics, type RetriesReport, type RetryStatistics } from './retry/statistics.ts';
export { createRetryWindows, type RetryWindows } from './retry/windows.ts';
export type { DoJob } from './worker/run-job.ts';
export {
  createTaskWorker,
  type TaskContext,
  type TaskJob,
  type Tasks,
  type TaskWorker,
  type TaskWorkerOptions,
} from './worker/task-worker.ts';
export { createWorker, type JobReport, type Worker } from './worker/worker.ts';
