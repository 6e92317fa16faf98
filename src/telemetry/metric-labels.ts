import { PROVIDER_ERROR_KINDS } from '../domain/provider-error.ts';

/** Every value a label can have. They bound what a caller can make of it, and each is there from the start with 0. */

export const ALLOCATION_OUTCOMES = [
  'success',
  'idempotent',
  'waiting',
  'no_sandboxes',
  'line_full',
  'place_lost',
  'conflict_key',
  'busy',
  'refused',
  'error',
] as const;
export type AllocationOutcome = (typeof ALLOCATION_OUTCOMES)[number];

/** How a place in the line ends. */
export const PLACE_ENDINGS = ['served', 'given_up', 'left', 'removed', 'uncollected'] as const;
export type PlaceEnding = (typeof PLACE_ENDINGS)[number];

export const MARK_OUTCOMES = ['success', 'repeated', 'not_owner', 'not_found', 'refused', 'error'] as const;
export type MarkOutcome = (typeof MARK_OUTCOMES)[number];

/** Answers to a holder who wants to keep its lease. */
export const LEASE_CALL_OUTCOMES = ['success', 'over', 'not_owner', 'not_found', 'refused', 'error'] as const;
export type LeaseCallOutcome = (typeof LEASE_CALL_OUTCOMES)[number];

/** Answers to a holder who reports its sandbox as broken. */
export const REPORT_OUTCOMES = [
  'success',
  'repeated',
  'over',
  'not_owner',
  'not_found',
  'refused',
  'error',
] as const;
export type ReportOutcome = (typeof REPORT_OUTCOMES)[number];

export const LOOPS = ['sync', 'cleanup', 'expiry', 'purge', 'counts'] as const;
export type Loop = (typeof LOOPS)[number];

/** Circuit breakers, by what is called. */
export const BREAKERS = ['csp_list', 'csp_delete', 'webhook'] as const;
export type BreakerName = (typeof BREAKERS)[number];

/** What a replica looks at to see whether it serves, and what limits it. */
export const READINESS_CHECKS = [
  'dynamodb',
  'clock',
  'runtime',
  'heartbeats',
  'worker',
  'governor',
  'breakers',
  'loops',
  'sync',
  'pool',
  'deletions',
  'shutdown',
] as const;
export type ReadinessCheckName = (typeof READINESS_CHECKS)[number];

/** What raises alerts. */
export const ALERT_TASKS = [
  ...LOOPS,
  ...BREAKERS,
  'clock',
  'governor',
  'pool',
  'retries',
  'runtime',
  'worker',
] as const;

export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
/** Stands for every method, and every operation, that is not listed. */
export const OTHER = 'OTHER';
/** The endpoint of a request that no route took. */
export const UNMATCHED = 'unmatched';

export const PROVIDER_OPERATIONS = ['list', 'delete'] as const;
export const PROVIDER_OUTCOMES = ['success', ...PROVIDER_ERROR_KINDS] as const;

export const STORE_OPERATIONS = [
  'BatchGetItem',
  'GetItem',
  'Query',
  'Scan',
  'PutItem',
  'UpdateItem',
  'DeleteItem',
  'TransactWriteItems',
] as const;

/** A store call ends with success or an error's name; those not listed count as `error`. */
const STORE_OUTCOME_OF: Record<string, string> = {
  success: 'success',
  given_up: 'given_up',
  ConditionalCheckFailedException: 'condition_failed',
  TransactionCanceledException: 'cancelled',
  TransactionConflictException: 'conflict',
  ThrottlingException: 'throttled',
  ProvisionedThroughputExceededException: 'throttled',
  RequestLimitExceeded: 'throttled',
  TimeoutError: 'timeout',
  AbortError: 'timeout',
};
const STORE_ERROR = 'error';
export const STORE_OUTCOMES = [...new Set([...Object.values(STORE_OUTCOME_OF), STORE_ERROR])];
export const storeOutcome = (name: string): string => STORE_OUTCOME_OF[name] ?? STORE_ERROR;
