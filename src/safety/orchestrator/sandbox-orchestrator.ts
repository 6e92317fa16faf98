import { type Alerts, createAlerts } from '../alerts/alerts.ts';
import { type Breaker, type BreakerDeps, createBreaker } from '../breaker/breaker.ts';
import { transitionAlert } from '../breaker/transition-alert.ts';
import {
  type DatabaseChoice,
  openSandboxDatabase,
  type SandboxDatabase,
} from '../database/sandbox-database.ts';
import { type Actions, isIrreversible } from '../dry-run/actions.ts';
import { createDryRunLock, type DryRunLock } from '../dry-run/dry-run.ts';
import { createSideEffects, type SideEffects } from '../effects/side-effects.ts';
import { createGuard, type Guard } from '../guard/guard.ts';
import { createHeartbeatMonitor, type HeartbeatReport } from '../heartbeat/heartbeat-monitor.ts';
import { createIdempotency, type Idempotency } from '../idempotency/idempotency.ts';
import { createGovernor, type Governor, type GovernorRow, type ResourceQuota } from '../quota/governor.ts';
import { createReadiness, type Readiness } from '../readiness/readiness.ts';
import { createRetry, type Retry, type RetryPolicy } from '../retry/retry.ts';
import { createRetryStatistics, type RetryStatistics } from '../retry/statistics.ts';
import { createTaskWorker, type Tasks, type TaskWorker } from '../worker/task-worker.ts';

export interface OrchestratorOptions<A extends string, R extends string, T extends Tasks> {
  /** Every action there is, and whether it can be undone. */
  actions: Actions<A>;
  /** Every resource that is rationed. */
  quotas: Readonly<Record<R, ResourceQuota>>;
  /** Which resource an action uses up. */
  resourceOf?: Readonly<Partial<Record<A, R>>>;
  /** What runs in the background. */
  tasks: T;
  /** `memory` unless told otherwise. */
  database?: DatabaseChoice;
  /** On, and not strict, unless told otherwise. */
  dryRun?: { enabled?: boolean; strict?: boolean };
  retry?: Partial<RetryPolicy>;
  maxWorkers?: number;
  /** Silence of the worker for longer than this is a hang, milliseconds; a minute unless given. */
  heartbeatTimeoutMs?: number;
}

/** All systems, made for each other. */
export interface Systems<A extends string, R extends string, T extends Tasks> {
  database: SandboxDatabase;
  alerts: Alerts;
  dryRun: DryRunLock<A>;
  governor: Governor<R>;
  effects: SideEffects<A>;
  retry: Retry;
  retries: RetryStatistics;
  /** Governor → dry run → effect record → breaker → retry → the call. */
  guard: Guard<A, R>;
  idempotency: Idempotency;
  worker: TaskWorker<T>;
  readiness: Readiness;
  /** A breaker whose changes are alerts. */
  breaker(name: string, deps?: Omit<BreakerDeps, 'name' | 'store' | 'onTransition'>): Breaker;
}

export interface OrchestratorStatus<R extends string> {
  ready: boolean;
  readiness: Record<string, boolean>;
  heartbeat: Record<string, HeartbeatReport>;
  governor: GovernorRow<R>[];
  queueLength: number;
  completedJobs: number;
  /** How many of the last 1,000 this process has raised. */
  alerts: number;
  idempotentOperations: number;
}

export interface SandboxOrchestrator<A extends string, R extends string, T extends Tasks>
  extends AsyncDisposable {
  /** Opens the database, builds all systems, starts the worker and looks whether all is ready. Once; a second call gets the first's. */
  initialize(signal?: AbortSignal): Promise<Systems<A, R, T>>;
  /** Looks at all checks now. False before `initialize` and after `cleanup`. */
  isReady(): Promise<boolean>;
  /** Throws an `Error` before `initialize`. */
  getStatus(): OrchestratorStatus<R>;
  /** Stops the worker and lets go of the database. Idempotent. */
  cleanup(): Promise<void>;
}

const HEARTBEAT_TIMEOUT_MS = 60_000;
const MAX_ALERTS = 1_000;

/** Builds the safety systems together. Nothing is begun before `initialize`. */
export function createSandboxOrchestrator<A extends string, R extends string, T extends Tasks>(
  options: OrchestratorOptions<A, R, T>,
): SandboxOrchestrator<A, R, T> {
  const monitor = createHeartbeatMonitor({ timeoutMs: options.heartbeatTimeoutMs ?? HEARTBEAT_TIMEOUT_MS });
  let starting: Promise<Systems<A, R, T>> | undefined;
  let running: Systems<A, R, T> | undefined;
  let ending: Promise<void> | undefined;

  async function build(signal?: AbortSignal): Promise<Systems<A, R, T>> {
    const database = await openSandboxDatabase(options.database, { ...(signal && { signal }) });
    const alerts = createAlerts();
    const retries = createRetryStatistics();
    const { onAttempt, onEnd } = retries;
    const retry = createRetry({ policy: options.retry ?? {}, onAttempt, onEnd });
    const governor = createGovernor({ quotas: options.quotas, store: database.quotas, alert: alerts.raise });
    const dryRun = createDryRunLock({ actions: options.actions, ...options.dryRun });
    const effects = createSideEffects({ types: irreversible(options.actions), records: database.effects });
    const worker = createTaskWorker({
      tasks: options.tasks,
      queue: database.queue,
      alert: alerts.raise,
      ...(options.maxWorkers !== undefined && { maxWorkers: options.maxWorkers }),
    });
    monitor.watch('worker', worker.heartbeat);
    const readiness = createReadiness({
      checks: [
        { name: 'database', check: database.check },
        { name: 'worker', check: () => monitor.report()['worker']?.isHealthy ?? false },
        { name: 'governor', check: () => governor.status().length > 0, otherwise: 'degraded' },
      ],
    });
    worker.start();
    await readiness.runAll();
    return {
      database,
      alerts,
      dryRun,
      governor,
      effects,
      retry,
      retries,
      guard: createGuard({ governor, dryRun, effects, retry, resourceOf: options.resourceOf }),
      idempotency: createIdempotency({ answers: database.answers }),
      worker,
      readiness,
      breaker: (name, deps = {}) =>
        createBreaker({
          ...deps,
          name,
          store: database.breakers,
          onTransition: (transition) => alerts.raise(transitionAlert(transition)),
        }),
    };
  }

  async function end(): Promise<void> {
    const systems = await starting?.catch(() => undefined);
    running = undefined;
    await systems?.worker.stop();
    await systems?.database.cleanup();
  }

  const cleanup = () => {
    ending ??= end();
    return ending;
  };

  return {
    initialize(signal) {
      starting ??= build(signal).then((systems) => {
        running = systems;
        return systems;
      });
      return starting;
    },
    async isReady() {
      await running?.readiness.runAll();
      return running?.readiness.isReady() ?? false;
    },
    getStatus() {
      if (running === undefined) throw new Error('initialize() comes before getStatus()');
      const { ready, checks } = running.readiness.status();
      return {
        ready,
        readiness: checks,
        heartbeat: monitor.report(),
        governor: running.governor.status(),
        queueLength: running.worker.queueLength(),
        completedJobs: running.worker.completedJobs(),
        alerts: running.alerts.recent({}, MAX_ALERTS).length,
        idempotentOperations: running.idempotency.operations,
      };
    },
    cleanup,
    [Symbol.asyncDispose]: cleanup,
  };
}

const irreversible = <A extends string>(actions: Actions<A>): A[] =>
  (Object.keys(actions) as A[]).filter((action) => isIrreversible(actions, action));
