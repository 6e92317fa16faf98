import { unescape as unescapeText } from 'node:querystring';
import { z } from 'zod';
import { matching, oneOf, optional, variable, whole } from './values.ts';

const MAX_URL = 2_048;

const isWebhookUrl = (text: string): boolean =>
  text.length <= MAX_URL &&
  URL.canParse(text) &&
  ['http:', 'https:'].includes(new URL(text).protocol) &&
  !/[#\s]/.test(text);

const isHandbookUrl = (text: string): boolean =>
  isWebhookUrl(text) && new URL(text).username === '' && new URL(text).password === '';

const webhookUrl = {
  schema: z.string().refine(isWebhookUrl),
  allowed: 'http(s)://[user:password@]host[:port][/path][?query]',
  // The path of such a URL is mostly all it takes to write to the channel behind it.
  secret: true,
};

/** The variables of the alerts, in the order of `.env.example`. */
export const ALERT_VARIABLES = {
  ALERT_WEBHOOK_URL: optional(webhookUrl, 'where alerts are posted to; empty: nowhere'),
  ALERT_WEBHOOK_FORMAT: variable(
    oneOf('generic', 'slack'),
    'generic',
    "what is posted: generic (the alert as JSON) or slack (for an incoming webhook of Slack's)",
  ),
  ALERT_WEBHOOK_SECRET: optional(
    { ...matching(/^[\x21-\x7e]{16,1024}$/, '16 to 1024 visible ASCII characters'), secret: true },
    'signs what is posted with HMAC-SHA256; empty: nothing is signed',
  ),
  RUNBOOK_URL: optional(
    { schema: z.string().refine(isHandbookUrl), allowed: 'http(s)://host[:port][/path], without a #' },
    "where docs/operations.md, or a copy of it, is to be read: alerts lead there; empty: the broker's own page of it",
  ),
  POOL_LOW_WATERMARK: variable(
    whole(0, 1_000_000),
    '0',
    'fewer free sandboxes than this raise an alert; 0: only an empty pool does',
  ),
};

export interface AlertWebhookConfig {
  url: string;
  format: 'generic' | 'slack';
  secret: string | undefined;
}

export interface AlertConfig {
  /** Where alerts are posted to. */
  alertWebhook: AlertWebhookConfig | undefined;
  /** Where the runbooks are kept; undefined: where the broker serves them. */
  runbookUrl: string | undefined;
  /** Fewer free sandboxes than this are worth an alert; 0: only none at all. */
  poolLowWatermark: number;
}

type Values = z.output<z.ZodObject<typeof ALERT_VARIABLES>>;

export function readAlerts(values: Values): AlertConfig {
  const { ALERT_WEBHOOK_URL: url, ALERT_WEBHOOK_FORMAT: format, ALERT_WEBHOOK_SECRET: secret } = values;
  return {
    alertWebhook: url === undefined ? undefined : { url, format, secret },
    runbookUrl: values.RUNBOOK_URL,
    poolLowWatermark: values.POOL_LOW_WATERMARK,
  };
}

/** What may be known of the webhook: where, and how; not what it takes to write there. */
export function describeAlertWebhook(
  webhook: AlertWebhookConfig | undefined,
): Record<string, unknown> | undefined {
  if (webhook === undefined) return undefined;
  return {
    origin: new URL(webhook.url).origin,
    format: webhook.format,
    signed: webhook.secret !== undefined,
  };
}

/** Shorter parts of a URL are words such as `services`, and would be torn out of every line that has them. */
const SHORTEST_SECRET_PART = 12;

/** What of the webhook has no business in a log, as a whole and in its parts, wherever it should turn up. */
export function alertSecrets(webhook: AlertWebhookConfig | undefined): string[] {
  if (webhook === undefined) return [];
  const url = new URL(webhook.url);
  const { pathname, search, searchParams, username, password } = url;
  const parts = [pathname + search, ...pathname.split('/'), ...searchParams.values()];
  // A user without a password is a token; one with a password is a name.
  const login = password || username;
  return [
    webhook.url,
    url.href,
    ...parts.filter((part) => part.length >= SHORTEST_SECRET_PART),
    ...(login === '' ? [] : [login, unescapeText(login)]),
    ...(webhook.secret === undefined ? [] : [webhook.secret]),
  ];
}
