import { BrokerError, type BrokerErrorCode, readRefusal } from './broker-error.ts';
import { limitTime, pause, readRetryAfter, waitMs } from './waiting.ts';

export interface CallerOptions {
  /** Of the broker, with or without a path before `/v1`. */
  url: string;
  /** Sent as a bearer token, never told in an error. */
  token: string;
  /** For a whole call with all its retries and waits, milliseconds; 60,000 by default. */
  deadlineMs?: number | undefined;
  /** For one attempt of it, milliseconds; 30,000 by default: longer than the broker looks for a sandbox. */
  attemptTimeoutMs?: number | undefined;
  /** How often a call is sent again at the most; as often as fits into its deadline by default, and never for 0. */
  retries?: number | undefined;
  /** Told of each failure that is followed by another attempt, before the wait for it. What it throws ends the call. */
  onRetry?: ((retry: Retry) => void) | undefined;
  /**
   * 1 to 128 of `A-Z a-z 0-9 . _ : / -`, or who gives one for each call: it goes along as `X-Correlation-ID`, and is in the
   * broker's log, histories and alerts.
   */
  correlationId?: string | (() => string | undefined) | undefined;
  /** Instead of the platform's own: one with a proxy, a trace or a certificate of yours, or a test's. */
  fetch?: Fetch | undefined;
}

/** As much of `fetch` as is used. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** A failed attempt that is followed by another. */
export interface Retry {
  /** Attempts so far, 1 for the first. */
  attempts: number;
  /** What the call would have ended with. */
  error: BrokerError;
  /** Milliseconds until the next attempt. */
  waitMs: number;
}

/** Limits of one logical call. */
export interface CallLimits {
  /** Ends the call at once, wherever it is; it then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** For the call with all its retries, milliseconds. */
  deadlineMs?: number | undefined;
  /** Another one than the broker object's. */
  correlationId?: string | undefined;
}

/** One logical call. */
export interface Call extends CallLimits {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  query?: Record<string, string | number | undefined>;
  headers?: Record<string, string | undefined>;
  body?: unknown;
  /** Refusals worth another attempt besides those that always are. */
  retryCodes?: readonly BrokerErrorCode[];
  /** The answer's body is given as it comes, a `ReadableStream` of bytes; its time is nobody's but the signal's. */
  stream?: boolean;
}

/** An answer of 2xx. */
export interface Answer {
  status: number;
  headers: Headers;
  body: unknown;
}

/**
 * Makes a call, again if need be. Throws a {@link BrokerError}, the reason of the caller's signal, or a `TypeError` for a
 * value that no header can have.
 */
export type Caller = (call: Call) => Promise<Answer>;

export const DEADLINE_MS = 60_000;
export const ATTEMPT_TIMEOUT_MS = 30_000;
/** What may go better in a moment: the broker, the way to it, or how often we call. Calls carry keys, so none happens twice. */
const RETRIED_STATUSES: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
/** An attempt of ours whose answer was lost is still under way: its answer will be ours, too. */
const OWN_ATTEMPT_UNDER_WAY = 'IDEMPOTENCY_IN_PROGRESS';

/**
 * A caller with one token. An attempt that ends without an answer, with 408, 429 or 5xx is made again, after what
 * `Retry-After` says, or else backing off with jitter; all within the deadline. Where the next wait would not fit in, the
 * last failure is thrown at once.
 *
 * @throws RangeError for options that cannot be used
 */
export function createCaller(options: CallerOptions): Caller {
  const base = readUrl(options.url);
  const deadlineMs = positive('deadlineMs', options.deadlineMs ?? DEADLINE_MS);
  const attemptTimeoutMs = positive('attemptTimeoutMs', options.attemptTimeoutMs ?? ATTEMPT_TIMEOUT_MS);
  const { correlationId, onRetry, retries = Number.POSITIVE_INFINITY } = options;
  if (!(retries >= 0)) throw new RangeError(`retries must be 0 or more, not ${retries}`);
  // Looked up at each call: a page may put another one in its place later.
  const send: Fetch = options.fetch ?? ((url, init) => fetch(url, init));
  if (!/^[\x21-\x7e]+$/.test(options.token)) {
    throw new RangeError('token must be visible ASCII characters (it is not shown here)');
  }

  async function attempt(call: Call, headers: Headers, signal: AbortSignal): Promise<Answer | Failure> {
    let response: Response;
    let text: string;
    try {
      response = await send(toUrl(base, call), {
        method: call.method,
        headers,
        credentials: 'omit',
        signal,
        ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
      });
      if (call.stream && response.ok)
        return { status: response.status, headers: response.headers, body: response.body };
      text = await response.text();
    } catch (cause) {
      return {
        code: 'UNREACHABLE',
        message: `The broker at ${base} does not answer.${hintForPages(base)}`,
        isPassing: true,
        cause,
      };
    }
    const body = parseJson(text);
    if (response.ok && body !== undefined)
      return { status: response.status, headers: response.headers, body };
    return toFailure(response, body, call);
  }

  return async (call) => {
    const endsAtMs = performance.now() + positive('deadlineMs', call.deadlineMs ?? deadlineMs);
    const ownId = typeof correlationId === 'function' ? correlationId() : correlationId;
    const headers = toHeaders({
      authorization: `Bearer ${options.token}`,
      accept: 'application/json',
      'content-type': call.body === undefined ? undefined : 'application/json',
      'x-correlation-id': call.correlationId ?? ownId,
      ...call.headers,
    });
    for (let attempts = 1; ; attempts++) {
      call.signal?.throwIfAborted();
      const leftMs = Math.max(1, endsAtMs - performance.now());
      const time = limitTime(Math.ceil(Math.min(leftMs, attemptTimeoutMs)), call.signal);
      const outcome = await attempt(call, headers, time.signal).finally(time.clear);
      const isAnswer = !('code' in outcome);
      if (!isAnswer || !call.stream) time.letGo();
      if (isAnswer) return outcome;
      call.signal?.throwIfAborted();
      const error = new BrokerError(outcome.code, outcome.message, { ...outcome, attempts });
      const pauseMs = waitMs(attempts, outcome.retryAfterSeconds);
      if (!outcome.isPassing || attempts > retries || performance.now() + pauseMs >= endsAtMs) throw error;
      onRetry?.({ attempts, error, waitMs: pauseMs });
      await pause(pauseMs, call.signal ?? new AbortController().signal);
    }
  };
}

/** An attempt that did not work. */
interface Failure {
  code: BrokerErrorCode;
  message: string;
  /** Worth another attempt. */
  isPassing: boolean;
  status?: number;
  requestId?: string | undefined;
  retryAfterSeconds?: number | undefined;
  details?: unknown;
  cause?: unknown;
}

function toFailure(response: Response, body: unknown, call: Call): Failure {
  const { status, headers } = response;
  const refusal = readRefusal(body);
  const common = {
    status,
    requestId: refusal?.requestId ?? headers.get('x-request-id') ?? undefined,
    retryAfterSeconds: readRetryAfter(headers.get('retry-after'), Date.now()) ?? refusal?.retryAfterSeconds,
  };
  if (refusal === undefined) {
    const message = `What answered with ${status} is no broker: check its address and what stands in front of it.`;
    return { ...common, code: 'UNEXPECTED_ANSWER', message, isPassing: RETRIED_STATUSES.has(status) };
  }
  const { code, message, details } = refusal;
  const isPassing =
    RETRIED_STATUSES.has(status) ||
    code === OWN_ATTEMPT_UNDER_WAY ||
    call.retryCodes?.includes(code) === true;
  return { ...common, code, message, details, isPassing };
}

function toUrl(base: string, { path, query = {} }: Call): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) search.set(name, String(value));
  }
  return [`${base}${path}`, String(search)].filter(Boolean).join('?');
}

/** Throws a `TypeError` for a value that no header can have: trying again would not make it one. */
function toHeaders(all: Record<string, string | undefined>): Headers {
  const result = new Headers();
  for (const [name, value] of Object.entries(all)) {
    if (value !== undefined) result.set(name, value);
  }
  return result;
}

/** To a page, an answer that is not for its origin looks like none. */
function hintForPages(base: string): string {
  const { location } = globalThis as { location?: { origin?: unknown } };
  const origin = location?.origin;
  if (typeof origin !== 'string' || origin === new URL(base).origin) return '';
  return ` Or it does, and not to pages of ${origin}: its CORS_ALLOWED_ORIGINS has to name that.`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readUrl(text: string): string {
  const { protocol, username } = parseUrl(text) ?? {};
  if ((protocol !== 'http:' && protocol !== 'https:') || username !== '') {
    throw new RangeError('url must be http(s)://host[:port][/path] without credentials');
  }
  return text.replace(/[?#].*$/, '').replace(/\/+$/, '');
}

/** Not `URL.canParse`, which not every Node 18 has. */
function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

function positive(name: string, value: number): number {
  // What a timer cannot take would end it at once.
  if (value > 0 && value < 2 ** 31) return value;
  throw new RangeError(`${name} must be a number of milliseconds above 0, not ${value}`);
}
