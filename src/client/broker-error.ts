import type { ErrorCode } from '../domain/errors.ts';

/**
 * The API's codes, and three of the client's own: `UNREACHABLE`, there was no answer; `UNEXPECTED_ANSWER`, there was one
 * that no broker gives, such as a proxy's page; `LEASE_OVER`, there is nothing left to give back.
 */
export type BrokerErrorCode = ErrorCode | 'UNREACHABLE' | 'UNEXPECTED_ANSWER' | 'LEASE_OVER';

export interface BrokerErrorFields {
  /** Absent where there was no answer. */
  status?: number | undefined;
  requestId?: string | undefined;
  retryAfterSeconds?: number | undefined;
  details?: unknown;
  attempts: number;
  cause?: unknown;
}

/** A call that did not work, after its retries. Decide by `code`, not by the message. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: BrokerErrorCode;
  readonly status: number | undefined;
  /** Tell it to whoever runs the broker. */
  readonly requestId: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly details: unknown;
  /** How often the request was sent. */
  readonly attempts: number;

  constructor(code: BrokerErrorCode, message: string, fields: BrokerErrorFields) {
    super(message, { cause: fields.cause });
    this.code = code;
    this.status = fields.status;
    this.requestId = fields.requestId;
    this.retryAfterSeconds = fields.retryAfterSeconds;
    this.details = fields.details;
    this.attempts = fields.attempts;
  }
}

/** What a call about a lease comes to where it is somebody else's sandbox by now, or gone. */
const OVER: readonly BrokerErrorCode[] = ['NOT_SANDBOX_OWNER', 'SANDBOX_NOT_FOUND', 'LEASE_OVER'];

export const isOver = (error: unknown): boolean => error instanceof BrokerError && OVER.includes(error.code);

/** A broker's refusal in an answer's body, if it is one. */
export function readRefusal(body: unknown) {
  const error = fieldOf(body, 'error');
  const code = fieldOf(error, 'code');
  const message = fieldOf(error, 'message');
  if (typeof code !== 'string' || typeof message !== 'string') return undefined;
  const requestId = fieldOf(error, 'request_id');
  const retryAfter = fieldOf(error, 'retry_after');
  return {
    code: asCode(code),
    message,
    requestId: typeof requestId === 'string' ? requestId : undefined,
    retryAfterSeconds: typeof retryAfter === 'number' ? retryAfter : undefined,
    details: fieldOf(error, 'details'),
  };
}

/** A newer broker may have codes that this client was not built with; they are handed on as they are. */
const asCode = (code: string): ErrorCode => code as ErrorCode;

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
