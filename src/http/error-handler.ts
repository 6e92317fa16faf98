import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { BrokerError, type ErrorCode } from '../domain/errors.ts';
import { fieldProblems, invalidRequest } from './validation-problems.ts';

/** The one table that turns an error's code into an HTTP status. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  INVALID_REQUEST: 400,
  INVALID_CURSOR: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  DRY_RUN_LOCKED: 403,
  NOT_SANDBOX_OWNER: 403,
  NOT_FOUND: 404,
  SANDBOX_NOT_FOUND: 404,
  JOB_NOT_FOUND: 404,
  EFFECT_NOT_FOUND: 404,
  TICKET_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  NO_SANDBOXES_AVAILABLE: 409,
  LINE_FULL: 409,
  PLACE_LOST: 409,
  INVALID_STATE: 409,
  LEASE_OVER: 409,
  OTHERS_WAIT: 409,
  ALREADY_RUNNING: 409,
  SYNC_REFUSED: 409,
  EFFECT_IN_PROGRESS: 409,
  IDEMPOTENCY_IN_PROGRESS: 409,
  IDEMPOTENCY_ANSWER_NOT_KEPT: 409,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  IDEMPOTENCY_KEY_REUSED: 422,
  RATE_LIMITED: 429,
  QUOTA_EXCEEDED: 429,
  HEADERS_TOO_LARGE: 431,
  INTERNAL: 500,
  PROVIDER_UNAVAILABLE: 502,
  POOL_NOT_SYNCED: 503,
  BUSY: 503,
  STORE_UNAVAILABLE: 503,
  CLOCK_OFF: 503,
  SHUTTING_DOWN: 503,
};

/** For the statuses that always say when to come back, if the error itself has no opinion. */
const DEFAULT_RETRY_AFTER_SECONDS: Partial<Record<number, number>> = { 429: 1, 502: 5, 503: 1 };

/** The form of every error. */
export interface ErrorBody {
  error: {
    code: ErrorCode;
    message: string;
    request_id: string;
    retry_after?: number;
    details?: unknown;
  };
}

/** Status and body of an error's answer; `retry_after` also goes into the `Retry-After` header. */
export function errorAnswer(error: BrokerError, requestId: string): { status: number; body: ErrorBody } {
  const status = HTTP_STATUS[error.code];
  const retryAfterSeconds = error.retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS[status];
  return {
    status,
    body: {
      error: {
        code: error.code,
        // Whoever threw INTERNAL had somebody else in mind than the caller.
        message: error.code === 'INTERNAL' ? 'Something went wrong inside the broker.' : error.message,
        request_id: requestId,
        // The header takes whole seconds, and 0 would be an invitation to hammer.
        ...(retryAfterSeconds === undefined
          ? {}
          : { retry_after: Math.max(1, Math.ceil(retryAfterSeconds)) }),
        ...(error.details === undefined || error.code === 'INTERNAL' ? {} : { details: error.details }),
      },
    },
  };
}

/** The codes of Fastify's own refusals that a client can cause. Everything else of its is our mistake. */
const FRAMEWORK_ERRORS: Readonly<Record<string, [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['PAYLOAD_TOO_LARGE', 'The body is too large: 16 KiB at most.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['UNSUPPORTED_MEDIA_TYPE', 'A body must be application/json.'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['INVALID_REQUEST', 'The body is not valid JSON.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['INVALID_REQUEST', 'The body is not as long as Content-Length says.'],
  FST_ERR_BAD_URL: ['INVALID_REQUEST', 'The URL is not valid.'],
  FST_ERR_MAX_PARAM_LENGTH: ['INVALID_REQUEST', 'The URL is not valid.'],
  FST_ERR_NOT_FOUND: ['NOT_FOUND', 'There is nothing at this path.'],
};

/**
 * Any error as a refusal with a code: the broker's own as they are, Fastify's and its plugins' translated, a call that
 * ran out of its time as `BUSY`, and whatever nobody expected as `INTERNAL`.
 */
export function toBrokerError(error: unknown, request: FastifyRequest): BrokerError {
  if (error instanceof BrokerError) return error;
  if (isTimeUp(error))
    return new BrokerError('BUSY', 'The broker was too slow to answer. Try again.', { cause: error });
  if (isFastifyError(error)) {
    if (error.validation !== undefined) {
      const known = knownNames(request, error.validationContext);
      return invalidRequest(fieldProblems(error.validation, error.validationContext, known));
    }
    const translated = FRAMEWORK_ERRORS[error.code];
    if (translated !== undefined) return new BrokerError(...translated, { cause: error });
    if (error.statusCode === 404) return new BrokerError('NOT_FOUND', 'There is nothing at this path.');
    if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
      return new BrokerError('INVALID_REQUEST', 'The request is not valid.', { cause: error });
    }
  }
  return new BrokerError('INTERNAL', 'unexpected', { cause: error });
}

/** Answers with an error: the one place that does, for errors thrown in a route, a hook, or Fastify itself. */
export function handleError(thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const error = toBrokerError(thrown, request);
  const { status, body } = errorAnswer(error, request.id);
  // Whoever went away has cancelled the call: no dependency has failed, and nobody reads the answer.
  const isCancelled = request.signal.aborted && (error.code === 'STORE_UNAVAILABLE' || error.code === 'BUSY');
  if (!isCancelled) {
    request.errorCode = error.code;
    logFailure(error, thrown, request);
  }
  if (body.error.retry_after !== undefined) reply.header('retry-after', body.error.retry_after);
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  // Fastify closes the connection after a body it did not like. Node throws the rest of the body away by itself, and
  // closing under a client that is still sending would reset the connection before it has read the answer. What stands
  // in the raw headers is something else: the app is closing, and the connection with it.
  if (reply.hasHeader('connection') && !reply.raw.hasHeader('connection')) reply.removeHeader('connection');
  reply
    .code(status)
    .type('application/json; charset=utf-8')
    // Not the route's serializer: an answer that did not fit its schema ends here, and must not fail a second time.
    .serializer((payload: unknown) => JSON.stringify(payload))
    .send(body);
}

/** Every other refusal is an everyday thing, and stands in the request's own line. */
function logFailure(error: BrokerError, thrown: unknown, request: FastifyRequest): void {
  const fields = { error_code: error.code, err: thrown };
  if (error.code === 'INTERNAL') {
    request.log.error(fields, 'request failed unexpectedly');
  } else if (error.code === 'STORE_UNAVAILABLE' || error.code === 'PROVIDER_UNAVAILABLE') {
    request.log.warn(fields, 'a dependency is not available');
  }
}

/** True for what an `AbortSignal` makes a call throw: its time is over, or nobody waits for it any more. */
export function isTimeUp(error: unknown): boolean {
  return error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError');
}

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}

/** The fields a strict schema of the route knows, to tell whoever misspelt one; of some bodies they depend on the rest. */
function knownNames(request: FastifyRequest, context: string | undefined): string[] | undefined {
  const { querystring, body } = request.routeOptions.schema ?? {};
  if (context === 'body') return fieldsOf(body instanceof z.ZodPipe ? body.out : body);
  return context === 'querystring' ? (fieldsOf(querystring) ?? []) : [];
}

const fieldsOf = (schema: unknown): string[] | undefined =>
  schema instanceof z.ZodObject ? Object.keys(schema.shape) : undefined;
