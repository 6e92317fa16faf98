import { createHmac } from 'node:crypto';
import type { AlertSeverity, RaisedAlert } from '../../domain/resilience/alert.ts';

export const WEBHOOK_FORMATS = ['generic', 'slack'] as const;
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

/** An alert on its way out. `swallowed`: how many of the same task and reason came since the last one was told. */
export interface Notification {
  alert: RaisedAlert;
  swallowed: number;
}

/** The address of a reason's runbook. */
export type RunbookAddress = (reason: string) => string;

/** Slack refuses longer ones. */
const MAX_HEADER = 150;
const MAX_SECTION = 3_000;

const ICONS: Record<AlertSeverity, string> = { info: 'ℹ️', warning: '⚠️', error: '❌', critical: '🚨' };

/** The request's body, JSON. `runbookOf`: the address of a reason's runbook, where there is one. */
export function webhookBody(
  format: WebhookFormat,
  notification: Notification,
  runbookOf?: RunbookAddress,
): string {
  const runbook = runbookOf?.(notification.alert.reason);
  const message = format === 'slack' ? slackMessage : genericMessage;
  return JSON.stringify(message(notification, runbook));
}

function genericMessage({ alert, swallowed }: Notification, runbook: string | undefined) {
  const { id, atMs, task, reason, severity, context, replica } = alert;
  const timestamp = Math.floor(atMs / 1000);
  const origin = { replica, service: 'sandbox-broker' };
  return { id, timestamp, task, reason, severity, context, swallowed, ...origin, runbook };
}

/** Everything is plain text to Slack: nothing in a context can mention a channel or pass for a link. */
function slackMessage({ alert, swallowed }: Notification, runbook: string | undefined) {
  const { id, atMs, task, reason, severity, context, replica } = alert;
  const title = `${ICONS[severity]} ${severity.toUpperCase()} ${task}: ${reason}`;
  const details = Object.entries(context).map(([name, value]) => `${name}: ${textOf(value)}`);
  if (swallowed > 0) details.push(`and ${swallowed} more like this since the last message`);
  const origin = `${new Date(atMs).toISOString()} · ${replica} · ${id}`;
  return {
    // What notifications show; this one is parsed by Slack.
    text: escapeSlack(title),
    blocks: [
      { type: 'header', text: plain(title, MAX_HEADER) },
      ...(details.length > 0 ? [{ type: 'section', text: plain(details.join('\n'), MAX_SECTION) }] : []),
      ...(runbook === undefined ? [] : [{ type: 'section', text: plain(runbook, MAX_SECTION) }]),
      { type: 'context', elements: [plain(`sandbox-broker · ${origin}`, MAX_SECTION)] },
    ],
  };
}

const plain = (text: string, maxLength: number) => ({
  type: 'plain_text',
  text: text.length > maxLength ? `${text.slice(0, maxLength - 1)}…` : text,
  emoji: false,
});

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

const escapeSlack = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/**
 * The signature's header: `v1=` and the HMAC-SHA256, in hexadecimal, of the timestamp (epoch seconds, as in its own
 * header), a full stop, and the body as it was sent.
 */
export const webhookSignature = (secret: string, timestamp: number, body: string): string =>
  `v1=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`;
