import { BrokerError } from '../../domain/errors.ts';
import type { Trip } from '../../domain/resilience/breaker.ts';

/** Whether another attempt makes sense, and when: `afterMs` is the far side's own word (`Retry-After`). */
export type Verdict = { retry: false } | { retry: true; afterMs?: number };
export type Classify = (error: unknown) => Verdict;

const NEVER: Verdict = { retry: false };

/**
 * What an error says about trying again. Never: a 4xx, a failed condition, a validation error, a call that was given up,
 * the broker's own refusals (the store's "unavailable" was retried by the store already). `Retry-After` wins: it makes a
 * 429 worth another attempt and decides when any attempt is made. Everything else, a 5xx or a connection that broke, may
 * pass by itself.
 */
export function classify(error: unknown): Verdict {
  if (!(error instanceof Error) || isFinal(error)) return NEVER;
  const status = statusOf(error);
  const afterMs = retryAfterOf(error);
  if (isClientError(status) && !(status === 429 && afterMs !== undefined)) return NEVER;
  return afterMs === undefined ? { retry: true } : { retry: true, afterMs };
}

/** What a call's end says about the far side. `ignored`: nothing, it was not asked, or we gave up. */
export type Health = 'failure' | 'answered' | 'ignored';

/** What an error says about the far side: a 4xx is an answer; a 5xx, no answer, or one that is not understood is none. */
export function healthOf(error: unknown): Health {
  if (error instanceof BrokerError) return 'ignored';
  if (!(error instanceof Error)) return 'failure';
  if (isGivenUp(error)) return 'ignored';
  return isClientError(statusOf(error)) ? 'answered' : 'failure';
}

/** What a far side that fails so is said to suffer from, and when it wants to be asked again. */
export function tripOf(error: unknown): Trip {
  const status = error instanceof Error ? statusOf(error) : undefined;
  const retryAfterMs = error instanceof Error ? retryAfterOf(error) : undefined;
  const why = status === 429 ? 'rate_limited' : status === 401 || status === 403 ? 'unauthorized' : 'outage';
  return retryAfterMs === undefined ? { why } : { why, retryAfterMs };
}

/** Mistakes in the program or in its data, and answers that stand: the same call fails the same way again. */
const MISTAKES = new Set([
  'ZodError',
  'RangeError',
  'TypeError',
  'SyntaxError',
  'ReferenceError',
  'ConditionFailedError',
  'TransactionCancelledError',
  'ConditionalCheckFailedException',
  'TransactionCanceledException',
  'ValidationException',
]);

const isFinal = (error: Error): boolean =>
  error instanceof BrokerError || (MISTAKES.has(error.name) && !isBrokenFetch(error)) || isGivenUp(error);

const isGivenUp = (error: Error): boolean => error.name === 'AbortError';

/** The codes of a connection that did not come about, or broke. */
const BROKEN = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_SOCKET',
]);

/** What `fetch` throws for a broken connection is a `TypeError`, like a mistake: the difference is in its cause. */
const isBrokenFetch = ({ cause }: Error): boolean =>
  cause instanceof Error && BROKEN.has(String(Reflect.get(cause, 'code')));

const isClientError = (status: number | undefined): boolean =>
  status !== undefined && status >= 400 && status < 500;

/** The HTTP status that an error carries, whoever made it. */
const statusOf = (error: Error): number | undefined =>
  numberIn(error, 'status') ?? numberIn(error, 'statusCode');

const retryAfterOf = (error: Error): number | undefined => numberIn(error, 'retryAfterMs');

function numberIn(error: Error, field: string): number | undefined {
  const value: unknown = Reflect.get(error, field);
  return typeof value === 'number' ? value : undefined;
}
