/**
 * Every error the broker hands to a caller has one of these codes.
 * `http/error-handler.ts` holds the one table that turns a code into an HTTP status.
 */
export const ERROR_CODES = [
  'INVALID_REQUEST',
  'INVALID_CURSOR',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'DRY_RUN_LOCKED',
  'NOT_SANDBOX_OWNER',
  'NOT_FOUND',
  'SANDBOX_NOT_FOUND',
  'JOB_NOT_FOUND',
  'EFFECT_NOT_FOUND',
  'TICKET_NOT_FOUND',
  'METHOD_NOT_ALLOWED',
  'NO_SANDBOXES_AVAILABLE',
  'LINE_FULL',
  'PLACE_LOST',
  'INVALID_STATE',
  'LEASE_OVER',
  'OTHERS_WAIT',
  'ALREADY_RUNNING',
  'SYNC_REFUSED',
  'EFFECT_IN_PROGRESS',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'IDEMPOTENCY_KEY_REUSED',
  'IDEMPOTENCY_IN_PROGRESS',
  'IDEMPOTENCY_ANSWER_NOT_KEPT',
  'RATE_LIMITED',
  'QUOTA_EXCEEDED',
  'HEADERS_TOO_LARGE',
  'REQUEST_TIMEOUT',
  'INTERNAL',
  'PROVIDER_UNAVAILABLE',
  'POOL_NOT_SYNCED',
  'BUSY',
  'STORE_UNAVAILABLE',
  'CLOCK_OFF',
  'SHUTTING_DOWN',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface BrokerErrorOptions {
  cause?: unknown;
  /** Seconds after which a retry makes sense; becomes `Retry-After`. */
  retryAfterSeconds?: number;
  /** Data for the caller, such as the names of the bad fields. Never secrets, never another holder's name. */
  details?: unknown;
}

/** An expected refusal, with a stable `code` and a message that is safe to show to the caller. */
export class BrokerError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;
  readonly details: unknown;

  constructor(code: ErrorCode, message: string, options: BrokerErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'BrokerError';
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.details = options.details;
  }
}

/** This replica's clock is too far off the store's for anything to be decided by it. */
export class ClockOffError extends BrokerError {
  constructor() {
    super(
      'CLOCK_OFF',
      'The clock of this machine is off, so nothing is decided here. Try again: another may serve.',
      {
        retryAfterSeconds: CLOCK_OFF_RETRY_AFTER_SECONDS,
      },
    );
    this.name = 'ClockOffError';
  }
}

const CLOCK_OFF_RETRY_AFTER_SECONDS = 5;

/** The store did not answer in time, or throttled, however often it was asked. Callers see a 503 with `Retry-After`. */
export class StoreUnavailableError extends BrokerError {
  /** Whether a write may have come true all the same, or still may: it was sent, and what became of it is not known. */
  readonly mayComeTrue: boolean;

  constructor(cause: unknown, { mayComeTrue = true } = {}) {
    super('STORE_UNAVAILABLE', 'The store does not answer at the moment; nothing was lost. Try again.', {
      cause,
      retryAfterSeconds: 1,
    });
    this.name = 'StoreUnavailableError';
    this.mayComeTrue = mayComeTrue;
  }
}

/** A lease cannot go on: by the clock of another replica it was over, and its key has another one or none. */
export class KeyMovedOnError extends Error {
  constructor() {
    super('the key of the lease has moved on');
    this.name = 'KeyMovedOnError';
  }
}

/** True for a refusal with this code. */
export const hasCode = (error: unknown, code: ErrorCode): error is BrokerError =>
  error instanceof BrokerError && error.code === code;

export const isClockOff = (error: unknown): boolean => hasCode(error, 'CLOCK_OFF');

const ELSEWHERE_AFTER_SECONDS = 1;

/** What all that waits or runs here is ended with when the process stops. */
export const shuttingDown = () =>
  new BrokerError('SHUTTING_DOWN', 'This replica is shutting down. Try again: another one answers.', {
    retryAfterSeconds: ELSEWHERE_AFTER_SECONDS,
  });

/** Marks a branch that the types say cannot be reached. */
export function assertNever(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
