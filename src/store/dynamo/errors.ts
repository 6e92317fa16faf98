import { StoreUnavailableError } from '../../domain/errors.ts';

/** One item's part in a cancelled transaction: DynamoDB's reason code and, where asked for, the item as it was. */
export interface CancellationReason {
  code: string;
  item?: Record<string, unknown> | undefined;
}

/** The code of an item whose condition was false. */
export const CONDITION_FAILED = 'ConditionalCheckFailed';
/** The code of an item that another transaction is at work on at this moment. */
export const CONFLICT = 'TransactionConflict';

export const isConflict = (reasons: (CancellationReason | undefined)[]): boolean =>
  reasons.some((reason) => reason?.code === CONFLICT);

/** What the store calls it when there is no room for a call, or for one item of a transaction. */
const THROTTLES: ReadonlySet<string | undefined> = new Set([
  'ThrottlingException',
  'ThrottlingError',
  'ThrottledException',
  'ProvisionedThroughputExceededException',
  'ProvisionedThroughputExceeded',
  'RequestLimitExceeded',
  'LimitExceededException',
  'TransactionInProgressException',
]);

export const isThrottleCode = (code: string | undefined): boolean => THROTTLES.has(code);

export const isThrottle = (reason: CancellationReason | undefined): boolean => isThrottleCode(reason?.code);

/** The store has no room for the call as a whole; nothing was done. */
export class StoreThrottledError extends StoreUnavailableError {
  constructor(cause: unknown) {
    super(cause, { mayComeTrue: false });
    this.name = 'StoreThrottledError';
  }
}

/** A single conditional write's condition was false. `item` is the item that made it so, absent where there is none. */
export class ConditionFailedError extends Error {
  readonly item: Record<string, unknown> | undefined;

  constructor(item: Record<string, unknown> | undefined, cause: unknown) {
    super('condition failed', { cause });
    this.name = 'ConditionFailedError';
    this.item = item;
  }
}

/** A transaction was cancelled as a whole; `reasons` has one entry per item, in the transaction's order. */
export class TransactionCancelledError extends Error {
  readonly reasons: CancellationReason[];

  constructor(reasons: CancellationReason[], cause: unknown) {
    super(`transaction cancelled: ${reasons.map((reason) => reason.code).join(', ')}`, { cause });
    this.name = 'TransactionCancelledError';
    this.reasons = reasons;
  }
}
