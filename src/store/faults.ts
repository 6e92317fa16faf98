import { setTimeout as delay } from 'node:timers/promises';
import {
  ConditionalCheckFailedException,
  type CancellationReason as DriverReason,
  TransactionCanceledException,
  TransactionConflictException,
} from '@aws-sdk/client-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { backoffDelayMs } from '../domain/backoff.ts';
import {
  CONDITION_FAILED,
  CONFLICT,
  ConditionFailedError,
  StoreUnavailableError,
  TransactionCancelledError,
} from './errors.ts';

/** Retries after the first attempt, and the waits before them. The SDK itself retries nothing. */
const RETRIES = 3;
const BACKOFF = { baseMs: 50, maxMs: 1_000, multiplier: 2 };

/** Told that an attempt (1, 2, …) failed and that another follows after `waitMs`. */
export type OnRetry = (attempt: number, error: unknown, waitMs: number) => void;

const THROTTLES = new Set([
  'ThrottlingException',
  'ThrottlingError',
  'ThrottledException',
  'ProvisionedThroughputExceededException',
  'ProvisionedThroughputExceeded',
  'RequestLimitExceeded',
  'LimitExceededException',
  'TransactionInProgressException',
]);

/** Errors of a connection that was refused, cut or too slow, as Node and the SDK's handler name them. */
const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
]);

/**
 * Runs `attempt` and runs it again, a bounded number of times, while the store is throttling or out of reach.
 * Stops early when `signal` fires. Anything else is thrown at once, as it is.
 */
export async function retryUnavailable<T>(
  attempt: () => Promise<T>,
  signal?: AbortSignal,
  onRetry?: OnRetry,
): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await attempt();
    } catch (error) {
      if (retry === RETRIES || signal?.aborted || !isUnavailable(error)) throw error;
      const waitMs = backoffDelayMs(BACKOFF, retry, Math.random());
      onRetry?.(retry + 1, error, waitMs);
      await delay(waitMs, undefined, signal ? { signal } : {});
    }
  }
}

/** The driver's error in the store's words; what is not expected comes back as it is. */
export function translate(error: unknown, signal?: AbortSignal): unknown {
  if (error instanceof ConditionalCheckFailedException) {
    return new ConditionFailedError(error.Item && unmarshall(error.Item), error);
  }
  if (error instanceof TransactionConflictException) {
    return new TransactionCancelledError([{ code: CONFLICT }], error);
  }
  if (error instanceof TransactionCanceledException && !isUnavailable(error)) {
    const reasons = error.CancellationReasons ?? [];
    return new TransactionCancelledError(
      reasons.map((reason) => ({
        code: reason.Code ?? 'None',
        item: reason.Item && unmarshall(reason.Item),
      })),
      error,
    );
  }
  return signal?.aborted || isUnavailable(error) ? new StoreUnavailableError(error) : error;
}

/** Whether the store itself has spoken: it refuses, but it is there. */
export const isAnswer = (error: unknown): boolean =>
  error instanceof Error && httpStatus(error) !== undefined && !isUnavailable(error);

function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof TransactionCanceledException) return isThrottled(error.CancellationReasons ?? []);
  if (error.name === 'AbortError' || error.name === 'TimeoutError' || THROTTLES.has(error.name)) return true;
  if (isSignedAnew(error)) return true;
  if ('code' in error && typeof error.code === 'string' && NETWORK.has(error.code)) return true;
  const status = httpStatus(error);
  // Half an answer, or some proxy's page: the SDK cannot parse it, and what the store did is open.
  if (status !== undefined && error instanceof SyntaxError) return true;
  return status !== undefined && status >= 500;
}

/** AWS refuses what a clock that is off has signed; by its `Date` the SDK knows better from then on. */
const isSignedAnew = (error: Error): boolean => metadataOf(error)?.clockSkewCorrected === true;

/** A failed condition outweighs a throttle in the same transaction: it is an answer, the throttle is none. */
const isThrottled = (reasons: DriverReason[]): boolean =>
  reasons.some((reason) => reason.Code !== undefined && THROTTLES.has(reason.Code)) &&
  !reasons.some((reason) => reason.Code === CONDITION_FAILED);

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
