import { runbooksIn } from '../api/runbooks.ts';
import type { Clock, NewId } from '../clock.ts';
import { type Config, configSecrets } from '../config/index.ts';
import { OPERATIONS_PATH } from '../console/operations-page.ts';
import { RESOURCE_OF } from '../domain/resilience/action.ts';
import type { RaisedAlert } from '../domain/resilience/alert.ts';
import { watchPool } from '../live/pool-watch.ts';
import {
  type AlertEvents,
  countAlerts,
  createAlertRecorder,
  createAlerts,
  createAlertWebhook,
  createCooldown,
  createGuard,
  createWebhookHttp,
  deliverWebhook,
  emitAlerts,
  logAlerts,
  type Retry,
  redaction,
} from '../safety/index.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { correctedClock } from '../store/dynamo/store-time.ts';
import { createAlertStore } from '../store/shared/alerts.ts';
import { createPoolLevels } from '../store/shared/pool-level.ts';
import { currentCorrelation } from '../telemetry/correlation.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { listAlerts } from '../usecases/list-alerts.ts';
import type { Resilience } from './resilience.ts';
import type { Safety } from './safety.ts';

interface AlertsOptions {
  config: Config;
  client: StoreClient;
  clock: Clock;
  newId: NewId;
  replicaId: string;
  logger: Logger;
  metrics: Metrics;
  events: AlertEvents;
}

const COOLDOWN_MS = 300_000;
/** For all attempts at one notification: the others wait meanwhile. */
const WEBHOOK_POLICY = { totalMs: 20_000, attemptMs: 2_000 };
/** What a shutdown waits for at most: the webhook, and then the store. */
const FLUSH_WEBHOOK_WITHIN_MS = 3_000;
const FLUSH_RECORDS_WITHIN_MS = 2_000;

export type Alerting = ReturnType<typeof composeAlerts>;

/** Alerts with all their hooks but the webhook, which needs what itself raises alerts. */
export function composeAlerts({ config, client, newId, replicaId, ...rest }: AlertsOptions) {
  // Where the alert is that this clock is off, others have to find it.
  const clock = correctedClock(rest.clock, client);
  const { logger, metrics, events } = rest;
  const onListenerError = (error: unknown) =>
    logger.warn({ action: 'alert_listener', outcome: 'error', err: error }, 'a listener to alerts failed');
  const alerts = createAlerts({
    clock,
    newId,
    replicaId,
    redact: redaction(configSecrets(config)),
    correlation: currentCorrelation,
    onListenerError,
  });
  const store = createAlertStore(client, (sortKey, error) =>
    logger.error({ action: 'read', sort_key: sortKey, err: error }, 'a record in the table cannot be read'),
  );
  const recorder = createAlertRecorder({
    store,
    clock,
    onOutcome(outcome, alert, error) {
      metrics.alertRecorded(outcome);
      if (outcome === 'stored') return;
      logger.warn(
        { ...aboutAlert('alert_record', alert), outcome, err: error },
        'an alert is not in the store',
      );
    },
  });
  alerts.subscribe('*', logAlerts(logger));
  alerts.subscribe('*', countAlerts(metrics));
  alerts.subscribe('*', emitAlerts(events, onListenerError));
  alerts.subscribe('*', recorder.record);
  return {
    alerts,
    runbookOf: runbooksIn(config.runbookUrl ?? OPERATIONS_PATH),
    listAlerts: listAlerts({
      recent: alerts.recent,
      stored: store,
      clock,
      onStoreError: (error) =>
        logger.warn({ action: 'list_alerts', err: error }, "only this replica's alerts can be shown"),
    }),
    watchPool: watchPool({
      levels: createPoolLevels(client, newId),
      lowWatermark: config.poolLowWatermark,
      alert: alerts.raise,
    }),
    /** Writes what is not stored yet; what cannot be written in time is in the log. */
    flushAlerts: () => recorder.close(FLUSH_RECORDS_WITHIN_MS),
  };
}

interface WebhookOptions {
  config: Config;
  alerts: Alerting['alerts'];
  safety: Pick<Safety, 'governor' | 'dryRun' | 'effects'>;
  resilience: Pick<Resilience, 'retry' | 'breakers'>;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
}

/** The hook that tells alerts to the webhook, where there is one. Gives back what a shutdown has to await. */
export function composeAlertWebhook({ config, alerts, safety, resilience, ...rest }: WebhookOptions) {
  if (config.alertWebhook === undefined) return async () => undefined;
  const { clock, logger, metrics } = rest;
  const http = createWebhookHttp({
    ...config.alertWebhook,
    // The broker does not know by which address people reach it.
    runbookOf: config.runbookUrl === undefined ? undefined : runbooksIn(config.runbookUrl),
    clock,
  });
  const { governor, dryRun, effects } = safety;
  const retry: Retry = {
    run: (task, attempt, options) => resilience.retry.run(task, attempt, { ...WEBHOOK_POLICY, ...options }),
  };
  const webhook = createAlertWebhook({
    cooldown: createCooldown(COOLDOWN_MS),
    deliver: deliverWebhook({
      action: 'external_call',
      http,
      breaker: resilience.breakers.webhook,
      guard: createGuard({ governor, dryRun, resourceOf: RESOURCE_OF, effects, retry }),
      guardWithoutRecords: createGuard({ governor, dryRun, resourceOf: RESOURCE_OF, retry }),
    }),
    onOutcome(outcome, alert, error) {
      metrics.alertNotified(outcome);
      const fields = { ...aboutAlert('alert_webhook', alert), outcome };
      if (outcome === 'failed' || outcome === 'dropped') {
        logger.warn({ ...fields, err: error }, 'an alert did not get to the webhook');
      } else {
        logger.debug(fields, 'alert webhook');
      }
    },
  });
  alerts.subscribe('*', webhook.notify);
  return async () => {
    await webhook.close(FLUSH_WEBHOOK_WITHIN_MS);
    await http.close();
  };
}

const aboutAlert = (action: string, { id, task, reason }: RaisedAlert) => ({
  action,
  alert_id: id,
  task,
  reason,
});
