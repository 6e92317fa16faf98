import {
  ALERT_SEVERITIES,
  type AlertSeverity,
  RECORD_OUTCOMES,
  type RecordOutcome,
  WEBHOOK_OUTCOMES,
  type WebhookOutcome,
} from '../domain/resilience/alert.ts';
import type { createInstruments } from './instruments.ts';
import { ALERT_TASKS } from './metric-labels.ts';

/** What is counted of alerts. */
export interface AlertMetrics {
  alert(task: string, severity: AlertSeverity): void;
  alertNotified(outcome: WebhookOutcome): void;
  alertRecorded(outcome: RecordOutcome): void;
}

export function createAlertMetrics({ counter }: ReturnType<typeof createInstruments>): AlertMetrics {
  const alerts = counter('broker_alerts_total', 'Alerts raised', {
    task: ALERT_TASKS,
    severity: ALERT_SEVERITIES,
  });
  const notified = counter('broker_alert_webhook_total', 'What became of alerts for the webhook', {
    outcome: WEBHOOK_OUTCOMES,
  });
  const recorded = counter('broker_alert_records_total', "What became of alerts' records in the store", {
    outcome: RECORD_OUTCOMES,
  });
  return {
    alert: (task, severity) => alerts.inc({ task, severity }),
    alertNotified: (outcome) => notified.inc({ outcome }),
    alertRecorded: (outcome) => recorded.inc({ outcome }),
  };
}
