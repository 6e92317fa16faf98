import { setTimeout as delay } from 'node:timers/promises';
import {
  ConditionalCheckFailedException,
  type CancellationReason as DriverReason,
  ResourceNotFoundException,
  TransactionCanceledException,
  TransactionConflictException,
} from '@aws-sdk/client-dynamodb';
import { StoreUnavailableError } from '../../domain/errors.ts';
import { backoffDelayMs } from '../../domain/resilience/backoff.ts';
import { fromItem } from './documents.ts';
import {
  CONDITION_FAILED,
  CONFLICT,
  ConditionFailedError,
  isThrottleCode,
  StoreThrottledError,
  TransactionCancelledError,
} from './errors.ts';
import { CredentialsError, isRefusedSignature } from './store-failure.ts';

/** Retries of a store that is out of reach, and the waits before them. The SDK itself retries nothing. */
const RETRIES = 3;
const BACKOFF = { baseMs: 50, maxMs: 1_000, multiplier: 2 };

/** Told that an attempt (1, 2, …) failed and that another follows after `waitMs`. */
export type OnRetry = (attempt: number, error: unknown, waitMs: number) => void;

/** Errors of a connection that was refused, cut or too slow, as Node and the SDK's handler name them. */
const NETWORK = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'UND_ERR_SOCKET']);
/** Those of them after which nothing can have been sent. */
const NO_CONNECTION = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN']);

/**
 * Runs `attempt` and runs it again: until `signal` fires while the store is throttling, a bounded number of times while it
 * is out of reach. Anything else is thrown at once, as it is.
 */
export async function retryUnavailable<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  onRetry?: OnRetry,
): Promise<T> {
  let outOfReach = 0;
  for (let retry = 0; ; retry++) {
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted || !isUnavailable(error)) throw error;
      if (!isThrottled(error) && ++outOfReach > RETRIES) throw error;
      const waitMs = backoffDelayMs(BACKOFF, retry, Math.random());
      onRetry?.(retry + 1, error, waitMs);
      await delay(waitMs, undefined, { signal });
    }
  }
}

/** The driver's error in the store's words; what is not expected comes back as it is. */
export function translate(error: unknown, signal?: AbortSignal): unknown {
  if (error instanceof ConditionalCheckFailedException) {
    return new ConditionFailedError(error.Item && fromItem(error.Item), error);
  }
  if (error instanceof TransactionConflictException) {
    return new TransactionCancelledError([{ code: CONFLICT }], error);
  }
  if (error instanceof TransactionCanceledException && !isUnavailable(error)) return toCancelled(error);
  if (isThrottled(error)) return new StoreThrottledError(error);
  // A store without its table answers, and is none: it was deleted, or its engine has just forgotten it. Nor is one that we
  // cannot sign in to.
  if (
    error instanceof ResourceNotFoundException ||
    error instanceof CredentialsError ||
    isRefusedSignature(error)
  ) {
    return new StoreUnavailableError(error, { mayComeTrue: false });
  }
  if (!signal?.aborted && !isUnavailable(error)) return error;
  return new StoreUnavailableError(error, {
    mayComeTrue: !hasCode(error, NO_CONNECTION) && !isSignedAnew(error),
  });
}

/** As `translate`, for a transaction that was sent once: its reasons also tell for which of its items there was no room. */
export const translateOnce = (error: unknown, signal?: AbortSignal): unknown =>
  error instanceof TransactionCanceledException ? toCancelled(error) : translate(error, signal);

function toCancelled(error: TransactionCanceledException): TransactionCancelledError {
  const reasons = error.CancellationReasons ?? [];
  return new TransactionCancelledError(
    reasons.map((reason) => ({
      code: reason.Code ?? 'None',
      item: reason.Item && fromItem(reason.Item),
    })),
    error,
  );
}

/** Whether the store itself has spoken: it refuses, but it is there. */
export const isAnswer = (error: unknown): boolean =>
  error instanceof Error && httpStatus(error) !== undefined && !isUnavailable(error);

function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // Whoever gives the credentials out may be back in a moment.
  if (isThrottled(error) || error instanceof CredentialsError) return true;
  if (error instanceof TransactionCanceledException) return false;
  if (error.name === 'AbortError' || error.name === 'TimeoutError') return true;
  if (isSignedAnew(error)) return true;
  if (hasCode(error, NETWORK) || hasCode(error, NO_CONNECTION)) return true;
  const status = httpStatus(error);
  // Half an answer, or some proxy's page: the SDK cannot parse it, and what the store did is open.
  if (status !== undefined && error instanceof SyntaxError) return true;
  return status !== undefined && status >= 500;
}

/** AWS refuses what a clock that is off has signed; by its `Date` the SDK knows better from then on. */
const isSignedAnew = (error: unknown): boolean =>
  error instanceof Error && metadataOf(error)?.clockSkewCorrected === true;

/** Whether the store is not there, or not well: unlike one that has no room, which answers. */
export const isOutOfReach = (error: unknown): boolean => isUnavailable(error) && !isThrottled(error);

const isThrottled = (error: unknown): boolean =>
  error instanceof TransactionCanceledException
    ? areThrottled(error.CancellationReasons ?? [])
    : error instanceof Error && isThrottleCode(error.name);

/** A failed condition outweighs a throttle in the same transaction: it is an answer, the throttle is none. */
const areThrottled = (reasons: DriverReason[]): boolean =>
  reasons.some(({ Code }) => isThrottleCode(Code)) && !reasons.some(({ Code }) => Code === CONDITION_FAILED);

const hasCode = (error: unknown, codes: ReadonlySet<string>): boolean =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.has(error.code);

function httpStatus(error: Error): number | undefined {
  const status = metadataOf(error)?.httpStatusCode;
  return typeof status === 'number' ? status : undefined;
}

/** What the SDK says about the call that failed. */
function metadataOf(error: Error): { httpStatusCode?: unknown; clockSkewCorrected?: unknown } | undefined {
  if (!('$metadata' in error)) return undefined;
  const metadata = error.$metadata;
  return typeof metadata === 'object' && metadata !== null ? metadata : undefined;
}
