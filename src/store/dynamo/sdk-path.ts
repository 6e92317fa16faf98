import type { DynamoDBClient, DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import { CredentialsError } from './store-failure.ts';
import type { StoreTime } from './store-time.ts';

type Signer = Exclude<NonNullable<DynamoDBClientConfig['signer']>, (...args: never[]) => unknown>;

/* What is changed of the way that a call takes through the SDK. */

/**
 * Asks the default chain, which remembers what it found, before a call is signed: its failure would else pass for the
 * store's own, or for nothing that is known.
 */
export function tellCredentialsApart({ middlewareStack, config }: DynamoDBClient): void {
  middlewareStack.add(
    (next) => async (args) => {
      try {
        await config.credentials();
      } catch (cause) {
        throw new CredentialsError('no credentials to sign calls to the store with', { cause });
      }
      return next(args);
    },
    { step: 'initialize', name: 'tellCredentialsApart' },
  );
}

/**
 * Takes out of the SDK's path what nobody uses here, a tenth of its time: its own log, for which it would copy every
 * input and output, item by item; the headers about itself; the bookkeeping around retries, of which it makes none.
 */
export function leaveOutUnused({ middlewareStack }: DynamoDBClient): void {
  for (const name of ['loggerMiddleware', 'getUserAgentMiddleware', 'recursionDetectionMiddleware']) {
    middlewareStack.remove(name);
  }
  // Its place has to be kept: the one that signs stands behind it.
  const place = {
    name: 'retryMiddleware',
    step: 'finalizeRequest',
    priority: 'high',
    override: true,
  } as const;
  middlewareStack.add((next) => next, place);
}

/**
 * For an engine that nobody signs in to: it wants to see a signature, and asks for no more. Hashing each body for one takes
 * a tenth of a call's time.
 */
export const UNSIGNED: Signer = {
  sign: async (request) => {
    request.headers['x-amz-date'] = '20200101T000000Z';
    request.headers['authorization'] =
      'AWS4-HMAC-SHA256 Credential=local/20200101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0';
    return request;
  },
};

/** Every answer has the store's time in its head, refusals included: it costs no call of its own. */
export function learnTime({ middlewareStack }: DynamoDBClient, time: StoreTime): void {
  middlewareStack.add(
    (next) => async (args) => {
      const sentMs = performance.now();
      const result = await next(args);
      time.observe(dateHeader(result.response), sentMs, performance.now());
      return result;
    },
    // The last before the call: what stands here sees the answer before it is judged.
    { step: 'deserialize', priority: 'low', name: 'learnTime' },
  );
}

function dateHeader(response: unknown): string | undefined {
  if (typeof response !== 'object' || response === null || !('headers' in response)) return undefined;
  const { headers } = response;
  if (typeof headers !== 'object' || headers === null || !('date' in headers)) return undefined;
  return typeof headers.date === 'string' ? headers.date : undefined;
}

/** Sends transactions without a `ClientRequestToken`. */
export function leaveOutTokens({ middlewareStack }: DynamoDBClient): void {
  middlewareStack.add(
    (next) => (args) => {
      stripToken(args.request);
      return next(args);
    },
    { step: 'build', priority: 'high', name: 'stripClientRequestToken' },
  );
}

/**
 * Takes the `ClientRequestToken` out of a transaction that is about to be sent: `attempt` and `write_id` make it
 * idempotent already, and the embedded engine scans its cache of tokens. The SDK makes one up while it writes the body,
 * where it comes last, so that it cannot be taken out any earlier.
 */
function stripToken(request: unknown): void {
  if (typeof request !== 'object' || request === null || !('body' in request)) return;
  const { body } = request;
  if (!(body instanceof Uint8Array)) return;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const tailStart = Math.max(0, bytes.length - TOKEN_BYTES);
  const token = TOKEN_AT_END.exec(bytes.toString('latin1', tailStart));
  if (token) request.body = Buffer.concat([bytes.subarray(0, tailStart + token.index), CLOSING_BRACE]);
}

const TOKEN_AT_END = /,"ClientRequestToken":"[0-9a-f-]+"\}$/;
/** More than a token takes. */
const TOKEN_BYTES = 100;
const CLOSING_BRACE = Buffer.from('}');
