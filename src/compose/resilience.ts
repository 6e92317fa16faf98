import type { Clock, NewId } from '../clock.ts';
import type { Config } from '../config/index.ts';
import { createGuardedProvider, deleteTask } from '../provider/guarded-provider.ts';
import type { Provider } from '../provider/provider.ts';
import { healthOfCall, healthOfDelete, tripOfCall } from '../provider/verdicts.ts';
import {
  type Breaker,
  type BreakerDeps,
  createBreaker,
  createRetry,
  createRetryStatistics,
  transitionAlert,
} from '../safety/index.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { correctedClock, trustedClock } from '../store/dynamo/store-time.ts';
import { createBreakerStore } from '../store/shared/breakers.ts';
import { createRetryWindowStore } from '../store/shared/retry-windows.ts';
import type { Logger } from '../telemetry/logger.ts';
import { BREAKERS, type BreakerName } from '../telemetry/metric-labels.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { RaiseAlert } from '../usecases/alert.ts';
import type { Look } from './beat.ts';

interface ResilienceOptions {
  config: Pick<Config, 'retry' | 'retryAlerts' | 'breaker' | 'provider'>;
  client: StoreClient;
  provider: Provider;
  clock: Clock;
  newId: NewId;
  logger: Logger;
  metrics: Pick<Metrics, 'retryEnded' | 'circuitState'>;
  alert: RaiseAlert;
  /** How long a caller waits for one delete, milliseconds. */
  deleteTimeoutMs: number;
  /** Fires when the broker stops: from then on nothing is tried again, and a shutdown does not wait for it. */
  stopping: AbortSignal;
}

/** A delete gives up so much before its caller does: a far side that hangs is the far side's failure. */
const DELETE_MARGIN_MS = 5_000;
/** A listing goes over many pages. */
const LIST_TIMEOUT_MS = 600_000;
const WEBHOOK_PROBE_MS = 60_000;

export type Resilience = ReturnType<typeof composeResilience>;

/** Retries, their statistics and the circuit breakers, and a provider whose calls go through them. */
export function composeResilience(options: ResilienceOptions) {
  const { config, client, clock, newId, logger, metrics, alert } = options;
  const statistics = createRetryStatistics({
    clock,
    store: createRetryWindowStore(client, newId),
    ...config.retryAlerts,
    onEnded: metrics.retryEnded,
    onWindowAnomaly: (anomaly, window) =>
      alert({
        task: 'retries',
        reason: anomaly === 'window' ? 'retry_window_long' : 'retry_attempts_high',
        severity: 'warning',
        context: {
          retried_task: window.task,
          attempts: window.attempts,
          seconds: Math.round((clock.nowMs() - window.firstAttemptAtMs) / 1000),
        },
      }),
    onRateAnomaly: ({ rate, jobs, retried }) =>
      alert({
        task: 'retries',
        reason: 'retry_rate_high',
        severity: 'warning',
        context: { rate, jobs, retried },
      }),
    onSpike: ({ retries, mean }) =>
      alert({
        task: 'retries',
        reason: 'retry_spike',
        severity: 'error',
        context: { retries, usual: Math.round(mean * 10) / 10 },
      }),
  });
  const retry = createRetry({
    policy: config.retry,
    onAttempt: statistics.onAttempt,
    onEnd: statistics.onEnd,
    stopping: options.stopping,
  });

  const store = createBreakerStore(client, trustedClock(clock, client), newId);
  const { failures, openMs, maxOpenMs, manualReset } = config.breaker;
  const breakerOf = (name: BreakerName, probeMs: number, more: Partial<BreakerDeps> = {}): Breaker =>
    createBreaker({
      name,
      // While the clock is off, an operator's word ends when it was meant to, and no rest outlasts the correction.
      clock: correctedClock(clock, client),
      newId,
      store,
      rules: {
        // Whose fault a failed delete is knows the cleanup, which asks for others before it opens the breaker.
        trip: { kind: name === 'csp_delete' ? 'told' : 'consecutive', failures },
        recovery: manualReset ? { kind: 'manual' } : { kind: 'automatic', afterMs: openMs, maxMs: maxOpenMs },
        probeMs,
      },
      onState: (state) => metrics.circuitState(name, state),
      onTransition: (transition) => alert(transitionAlert(transition)),
      onStoreError: (error) =>
        logger.warn(
          { action: 'breaker', breaker: name, outcome: 'error', err: error },
          'the breaker is not shared while the store is away',
        ),
      ...more,
    });
  // A probe is as long under way as its call may take, and some more.
  const breakers: Record<BreakerName, Breaker> = {
    csp_list: breakerOf('csp_list', LIST_TIMEOUT_MS + DELETE_MARGIN_MS, {
      judge: healthOfCall,
      tripOf: tripOfCall,
    }),
    csp_delete: breakerOf('csp_delete', options.deleteTimeoutMs + DELETE_MARGIN_MS, {
      judge: healthOfDelete,
      tripOf: tripOfCall,
    }),
    webhook: breakerOf('webhook', WEBHOOK_PROBE_MS),
  };
  const attemptMs =
    config.provider.kind === 'csp' ? config.provider.connectTimeoutMs + config.provider.readTimeoutMs : 0;

  return {
    retry,
    statistics,
    breakers,
    /** Puts the breakers and the retry around `provider`. */
    provider: createGuardedProvider({
      provider: options.provider,
      retry,
      listBreaker: breakers.csp_list,
      deleteBreaker: breakers.csp_delete,
      listPolicy: { totalMs: LIST_TIMEOUT_MS },
      stopping: options.stopping,
      deletePolicy: { totalMs: options.deleteTimeoutMs - DELETE_MARGIN_MS, attemptMs },
    }),
    /** A sandbox was given up on by the cleaners. */
    onParked: (sandboxId: string) => statistics.gaveUp(deleteTask(sandboxId)),
    /** How replicas look at each other's breakers and tell each other of their retries. */
    looks: [
      { name: 'breakers', look: () => Promise.all(BREAKERS.map((name) => breakers[name].refresh())) },
      { name: 'retry_windows', look: (signal) => statistics.share(signal, { isBeat: true }) },
    ] satisfies Look[],
  };
}
