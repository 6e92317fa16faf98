import { BrokerError, type ErrorCode } from '../domain/errors.ts';
import { errorAnswer, HTTP_STATUS } from './error-handler.ts';

/** What each code means, for the API's description. */
const MEANINGS: Readonly<Record<ErrorCode, string>> = {
  INVALID_REQUEST: 'Header X-Track-ID must be 1 to 128 of A-Z a-z 0-9 . _ : @ / -.',
  INVALID_CURSOR: 'The cursor does not belong to this query.',
  UNAUTHORIZED: 'A token is needed: Authorization: Bearer <token>.',
  FORBIDDEN: 'A token of the role admin is needed here.',
  DRY_RUN_LOCKED: 'This would do what cannot be undone: the broker is in a dry run.',
  NOT_SANDBOX_OWNER: 'This sandbox is held by somebody else.',
  NOT_FOUND: 'There is nothing at this path.',
  SANDBOX_NOT_FOUND: 'There is no sandbox with this id.',
  JOB_NOT_FOUND: 'There is no job with this id.',
  EFFECT_NOT_FOUND: 'Nothing is known of such an effect (any more).',
  TICKET_NOT_FOUND:
    'There is no such place in the line (any more): it was served, left, given up, or is not yours.',
  METHOD_NOT_ALLOWED: 'DELETE is not served here; GET, HEAD would be.',
  REQUEST_TIMEOUT: 'The request did not arrive in time.',
  NO_SANDBOXES_AVAILABLE: 'No sandbox is free.',
  LINE_FULL: 'The line is full: 10000 wait already.',
  PLACE_LOST: 'The place in the line is gone: it was left, or an operator took it away.',
  INVALID_STATE: 'The sandbox is in a status in which this makes no sense.',
  LEASE_OVER: 'The lease that is meant is over; the sandbox is available by now. Look at it again.',
  OTHERS_WAIT: 'Others wait for a sandbox like this one, so its lease is not extended.',
  ALREADY_RUNNING: 'A run is under way.',
  SYNC_REFUSED: 'The listing lacks 12 of the free sandboxes, too many to be believed.',
  EFFECT_IN_PROGRESS: 'The same is being done by another at this moment.',
  PAYLOAD_TOO_LARGE: 'The body is too large: 16 KiB at most.',
  UNSUPPORTED_MEDIA_TYPE: 'A body must be application/json.',
  IDEMPOTENCY_KEY_REUSED: 'This key was used for another request.',
  IDEMPOTENCY_IN_PROGRESS: 'A request with this key is under way.',
  IDEMPOTENCY_ANSWER_NOT_KEPT: 'This was done already; its answer was too large to be kept.',
  RATE_LIMITED: 'Too many requests from this address.',
  QUOTA_EXCEEDED: 'The quota of api_call is used up.',
  HEADERS_TOO_LARGE: 'Request line and headers are too large: 8 KiB at most.',
  INTERNAL: 'Something went wrong inside the broker.',
  PROVIDER_UNAVAILABLE: 'The provider does not answer.',
  POOL_NOT_SYNCED: 'The first sync of the pool has not ended yet.',
  BUSY: 'The broker was too slow to answer.',
  STORE_UNAVAILABLE: 'The store does not answer.',
  CLOCK_OFF: 'The clock of this machine is off, so nothing is decided here.',
  SHUTTING_DOWN: 'The broker is shutting down.',
};

interface ErrorResponse {
  description: string;
  content: {
    'application/json': { schema: { $ref: string }; examples: Record<string, { value: unknown }> };
  };
}

/** The description of the answers these codes give, by status, with one example for each code. */
export function errorResponses(codes: readonly ErrorCode[]): Map<string, ErrorResponse> {
  const responses = new Map<string, ErrorResponse>();
  for (const code of new Set(codes)) {
    const status = String(HTTP_STATUS[code]);
    const { body } = errorAnswer(
      new BrokerError(code, MEANINGS[code]),
      '8f14e45f-ceea-467f-a0e6-1f3a5f0f3b8e',
    );
    const known = responses.get(status);
    const examples = { ...known?.content['application/json'].examples, [code]: { value: body } };
    responses.set(status, {
      description: `\`${Object.keys(examples).join('`, `')}\``,
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' }, examples } },
    });
  }
  return responses;
}
