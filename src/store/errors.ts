import { BrokerError } from '../domain/errors.ts';

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

/** The store did not answer in time, or throttled, however often it was asked. Callers see a 503 with `Retry-After`. */
export class StoreUnavailableError extends BrokerError {
  constructor(cause: unknown) {
    super('STORE_UNAVAILABLE', 'The store does not answer at the moment; nothing was lost. Try again.', {
      cause,
      retryAfterSeconds: 1,
    });
    this.name = 'StoreUnavailableError';
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
