import { unescape as unescapeText } from 'node:querystring';
import { type Dispatcher, errors, Pool } from 'undici';
import type { Clock } from '../../clock.ts';
import { limitTime, untilAborted } from '../../time-limit.ts';
import { readRetryAfterMs } from '../retry/retry-after.ts';
import {
  type Notification,
  type RunbookAddress,
  type WebhookFormat,
  webhookBody,
  webhookSignature,
} from './webhook-payload.ts';

export interface WebhookHttpOptions {
  /** `http(s)://[user:password@]host[:port][/path][?query]`. All of it but the host may be a credential. */
  url: string;
  format: WebhookFormat;
  /** Signs every request; without it nothing is signed. */
  secret?: string | undefined;
  /** The address of what to do about a reason; it goes along. */
  runbookOf?: RunbookAddress | undefined;
  clock: Clock;
  /** For one request, from looking for a connection to the answer's head, milliseconds. */
  timeoutMs?: number;
}

export interface WebhookHttp {
  /** Sends one notification, once. Throws {@link WebhookError}, or what `signal` was aborted with. */
  send(notification: Notification, signal: AbortSignal): Promise<{ status: number }>;
  /** Ends requests under way and frees the sockets; again and again. */
  close(): Promise<void>;
}

/** A notification did not get through. Neither message nor cause contains the URL. */
export class WebhookError extends Error {
  /** The answer's, if there was one. */
  readonly status: number | undefined;
  /** From `Retry-After`. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { status?: number; retryAfterMs?: number | undefined } = {}) {
    super(message);
    this.name = 'WebhookError';
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

const TIMEOUT_MS = 2_000;
/** One notification is sent at a time; the other is for one whose end nobody awaits any more. */
const CONNECTIONS = 2;

/** The webhook's end of a socket. Throws a `RangeError` for a URL that is none, without quoting it. */
export function createWebhookHttp(options: WebhookHttpOptions): WebhookHttp {
  const { format, secret, clock, timeoutMs = TIMEOUT_MS } = options;
  const url = URL.parse(options.url);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new RangeError('url must be an HTTP(S) URL');
  const login = loginOf(url);
  const pool = new Pool(url.origin, {
    connections: CONNECTIONS,
    connect: { timeout: timeoutMs },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    allowH2: false,
  });

  function headersFor(notification: Notification, body: string): Record<string, string> {
    const timestamp = Math.floor(clock.nowMs() / 1000);
    return {
      'content-type': 'application/json; charset=utf-8',
      'user-agent': 'sandbox-broker',
      'x-broker-alert-id': notification.alert.id,
      'x-broker-timestamp': String(timestamp),
      ...(login !== undefined && { authorization: login }),
      ...(secret !== undefined && { 'x-broker-signature': webhookSignature(secret, timestamp, body) }),
    };
  }

  return {
    async send(notification, signal) {
      signal.throwIfAborted();
      const body = webhookBody(format, notification, options.runbookOf);
      const time = limitTime(timeoutMs, signal);
      try {
        const request = pool.request({
          method: 'POST',
          path: url.pathname + url.search,
          headers: headersFor(notification, body),
          body,
          // Alerts are rare: a connection that was kept would be one that the other side has just closed.
          reset: true,
          signal: time.signal,
        });
        // Undici notices the end of the time only once a request has a socket.
        const answer = await untilAborted(request, time.signal);
        return settle(answer);
      } catch (error) {
        signal.throwIfAborted();
        throw asWebhookError(error, time.signal.aborted, timeoutMs);
      } finally {
        time.clear();
      }
    },
    close: () => pool.destroy(),
  };
}

/** A 2xx is all that is asked for: a redirect would take the alert, and a POST's body, who knows where. */
function settle({ statusCode, headers, body }: Dispatcher.ResponseData): { status: number } {
  // What the body says, and how long it takes to say it, is nobody's concern.
  body.on('error', () => undefined);
  body.destroy();
  if (statusCode >= 200 && statusCode < 300) return { status: statusCode };
  throw new WebhookError(`the webhook answered ${statusCode}`, {
    status: statusCode,
    retryAfterMs: readRetryAfterMs(first(headers['retry-after']), first(headers['date'])),
  });
}

function asWebhookError(error: unknown, isTimeOver: boolean, timeoutMs: number): WebhookError {
  if (error instanceof WebhookError) return error;
  if (isTimeOver) return new WebhookError(`the webhook did not answer within ${timeoutMs} ms`);
  // A parser's error carries the bytes it choked on, and other errors may quote what was asked for: only codes are kept.
  if (error instanceof errors.HTTPParserError) return new WebhookError("the webhook's answer is not HTTP");
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code';
  return new WebhookError(`the connection to the webhook failed (${code})`);
}

/** A URL's user and password as the header that undici does not make of them. */
function loginOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  const pair = `${unescapeText(username)}:${unescapeText(password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

const first = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header[0] : header;
