import type { Trip } from '../../domain/breaker.ts';
import { BrokerError } from '../../domain/errors.ts';
import { ProviderError, type ProviderErrorKind } from '../../provider/provider.ts';
import { ConditionFailedError, TransactionCancelledError } from '../../store/dynamo/errors.ts';

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
  if (isClientError(error, status) && !(isTooMany(error, status) && afterMs !== undefined)) return NEVER;
  return afterMs === undefined ? { retry: true } : { retry: true, afterMs };
}

/** What a call's end says about the far side. `ignored`: nothing, it was not asked, or we gave up. */
export type Health = 'failure' | 'answered' | 'ignored';

/** What an error says about the far side: a 4xx is an answer; a 5xx, no answer, or one that is not understood is none. */
export function healthOf(error: unknown): Health {
  if (error instanceof BrokerError) return 'ignored';
  if (!(error instanceof Error)) return 'failure';
  if (isGivenUp(error)) return 'ignored';
  // It answers, but nobody is served: that ends when somebody sees to the token.
  if (error instanceof ProviderError && error.kind === 'unauthorized') return 'failure';
  if (error instanceof ProviderError && error.kind === 'rejected') {
    // Refused before anything was sent: the far side had no part in it.
    return error.status === undefined ? 'ignored' : 'answered';
  }
  const status = statusOf(error);
  return isClientError(error, status) ? 'answered' : 'failure';
}

/** What a far side that fails so is said to suffer from, and when it wants to be asked again. */
export function tripOf(error: unknown): Trip {
  const retryAfterMs = error instanceof Error ? retryAfterOf(error) : undefined;
  const kind = error instanceof ProviderError ? error.kind : undefined;
  const why = kind === 'rate_limited' || kind === 'unauthorized' ? kind : 'outage';
  return retryAfterMs === undefined ? { why } : { why, retryAfterMs };
}

/** Mistakes in the program or in its data: the same call fails the same way again. */
const MISTAKES = new Set(['ZodError', 'RangeError', 'TypeError', 'SyntaxError', 'ReferenceError']);

const isFinal = (error: Error): boolean =>
  error instanceof ConditionFailedError ||
  error instanceof TransactionCancelledError ||
  error instanceof BrokerError ||
  MISTAKES.has(error.name) ||
  isGivenUp(error);

const isGivenUp = (error: Error): boolean =>
  error.name === 'AbortError' || (error instanceof ProviderError && error.kind === 'aborted');

const isTooMany = (error: Error, status: number | undefined): boolean =>
  error instanceof ProviderError ? error.kind === 'rate_limited' : status === 429;

const CLIENT_ERRORS: ReadonlySet<ProviderErrorKind> = new Set(['rejected', 'rate_limited', 'unauthorized']);

function isClientError(error: Error, status: number | undefined): boolean {
  // A 404 with a proxy's page is a `bad_response`: its status is not CSP's word.
  if (error instanceof ProviderError) return CLIENT_ERRORS.has(error.kind);
  return status !== undefined && status >= 400 && status < 500;
}

/** The HTTP status that an error carries, whoever made it. */
const statusOf = (error: Error): number | undefined =>
  numberIn(error, 'status') ?? numberIn(error, 'statusCode');

const retryAfterOf = (error: Error): number | undefined => numberIn(error, 'retryAfterMs');

function numberIn(error: Error, field: string): number | undefined {
  const value: unknown = Reflect.get(error, field);
  return typeof value === 'number' ? value : undefined;
}
