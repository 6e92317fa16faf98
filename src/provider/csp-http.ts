import { type Dispatcher, errors, Pool } from 'undici';
import { readRetryAfterMs } from '../safety/index.ts';
import { ProviderError } from './provider.ts';

/** Deletes run a few at a time beside one listing; more than this only queues at CSP instead of here. */
const DEFAULT_CONNECTIONS = 16;
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface CspHttpOptions {
  /** `http(s)://host[:port][/path]`, with or without a trailing slash. */
  baseUrl: string;
  /** Sent as `Authorization: Token …` and nowhere else: no error and no log carries it. */
  token: string;
  connectTimeoutMs: number;
  /** Wait for an answer's head, and the longest gap between two pieces of its body. */
  readTimeoutMs: number;
  /** Sockets to CSP at most. */
  connections?: number;
  /** The correlation id of the work under way, passed on as `X-Correlation-ID`. */
  correlationId: () => string | undefined;
}

export interface CspAnswer {
  status: number;
  /** The media type in lower case, without its parameters. */
  mediaType: string | undefined;
  retryAfterMs: number | undefined;
  /** To be read by {@link CspHttp.readBody} or destroyed. */
  body: Dispatcher.ResponseData['body'];
}

export interface CspHttp {
  /** A URL below the base: `path` begins with `/` and is encoded already. */
  url(path: string): URL;
  /** Sends one request to CSP's origin, follows no redirect. Throws ProviderError. */
  send(method: 'GET' | 'DELETE', url: URL, signal: AbortSignal): Promise<CspAnswer>;
  /** The whole body, or a ProviderError: broken off, larger than `maxBytes`, or not there within `withinMs`. */
  readBody(
    answer: CspAnswer,
    limits: { maxBytes: number; withinMs: number },
    signal: AbortSignal,
  ): Promise<Buffer>;
  /** Ends calls under way (kind `aborted`) and frees the sockets; again and again. */
  close(): Promise<void>;
}

/**
 * CSP's side of a socket: headers, time-outs, limits, and every transport error turned into a ProviderError.
 * Throws RangeError for an option that cannot work.
 */
export function createCspHttp(options: CspHttpOptions): CspHttp {
  const base = parseBaseUrl(options.baseUrl);
  const basePath = base.pathname.replace(/\/+$/, '');
  if (!/^[\x20-\x7e]+$/.test(options.token)) throw new RangeError('token must be printable ASCII, not empty');
  const connectTimeoutMs = checkedTimeoutMs('connectTimeoutMs', options.connectTimeoutMs);
  const readTimeoutMs = checkedTimeoutMs('readTimeoutMs', options.readTimeoutMs);
  const connections = options.connections ?? DEFAULT_CONNECTIONS;
  if (!Number.isSafeInteger(connections) || connections < 1) {
    throw new RangeError(`connections must be a whole number >= 1, got ${connections}`);
  }

  const pool = new Pool(base.origin, {
    connections,
    connect: { timeout: connectTimeoutMs },
    headersTimeout: readTimeoutMs,
    bodyTimeout: readTimeoutMs,
    // One protocol, one set of ways to fail; CSP needs no multiplexing from a few calls a minute.
    allowH2: false,
  });

  function requestHeaders(): Record<string, string> {
    const headers: Record<string, string> = {
      authorization: `Token ${options.token}`,
      accept: 'application/json',
      'user-agent': 'sandbox-broker',
    };
    const correlationId = options.correlationId();
    // An id that cannot stand in a header is not worth a failed call.
    if (correlationId !== undefined && /^[\x21-\x7e]{1,128}$/.test(correlationId)) {
      headers['x-correlation-id'] = correlationId;
    }
    return headers;
  }

  return {
    url: (path) => new URL(`${base.origin}${basePath}${path}`),

    async send(method, url, signal) {
      try {
        signal.throwIfAborted();
        const request = pool.request({
          method,
          path: url.pathname + url.search,
          headers: requestHeaders(),
          signal,
        });
        const { statusCode, headers, body } = await unlessAborted(request, signal);
        // An abort or a time-out may strike before anybody reads: that must not be an unhandled error.
        body.on('error', () => undefined);
        return {
          status: statusCode,
          mediaType: firstOf(headers['content-type'])?.split(';', 1)[0]?.trim().toLowerCase(),
          retryAfterMs: readRetryAfterMs(firstOf(headers['retry-after']), firstOf(headers['date'])),
          body,
        };
      } catch (error) {
        throw asProviderError(error, signal);
      }
    },

    async readBody({ body, status }, { maxBytes, withinMs }, signal) {
      // The pool's body time-out only sees gaps; this ends a body that drips for ever.
      const tooLate = () => {
        body.destroy(
          new ProviderError('timeout', `CSP's answer took longer than ${withinMs} ms`, { status }),
        );
      };
      const timer = setTimeout(tooLate, Math.min(withinMs, MAX_TIMER_MS));
      try {
        const chunks: Uint8Array[] = [];
        let sizeBytes = 0;
        for await (const chunk of body) {
          const bytes: Uint8Array = chunk;
          sizeBytes += bytes.byteLength;
          if (sizeBytes > maxBytes) {
            throw new ProviderError('bad_response', `CSP's answer exceeds ${maxBytes} bytes`, { status });
          }
          chunks.push(bytes);
        }
        return Buffer.concat(chunks, sizeBytes);
      } catch (error) {
        throw asProviderError(error, signal);
      } finally {
        clearTimeout(timer);
      }
    },

    close: () => pool.destroy(),
  };
}

/** Undici notices an abort only once a request has a socket; a caller that gives up while it queues waits for nothing. */
async function unlessAborted<T>(request: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([request, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** With these nothing was sent. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
]);

function asProviderError(error: unknown, signal: AbortSignal): ProviderError {
  if (error instanceof ProviderError) return error;
  if (signal.aborted) return new ProviderError('aborted', 'the call to CSP was given up', { cause: error });
  // A parser error carries the bytes it choked on, which may be anything: it is not kept as the cause.
  if (error instanceof errors.HTTPParserError)
    return new ProviderError('bad_response', "CSP's answer is not HTTP");
  const code = codeOf(error);
  const options = { cause: error, mayBeUnderWay: !NOT_CONNECTED.has(code) };
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'ETIMEDOUT':
      return new ProviderError('timeout', `CSP did not answer in time (${code})`, options);
    case 'UND_ERR_DESTROYED':
    case 'UND_ERR_CLOSED':
      return new ProviderError('aborted', 'the connection to CSP was closed by the broker', { cause: error });
    case 'UND_ERR_HEADERS_OVERFLOW':
      return new ProviderError('bad_response', "CSP's answer has too many headers", { cause: error });
    default:
      return new ProviderError('network', `the connection to CSP failed (${code})`, options);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'no code';
}

function parseBaseUrl(baseUrl: string): URL {
  const url = URL.parse(baseUrl);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new RangeError('baseUrl must be an HTTP(S) URL');
  // Named without its value: what is refused here may be a password.
  if (url.username !== '' || url.password !== '') throw new RangeError('baseUrl must not carry credentials');
  if (url.search !== '' || url.hash !== '')
    throw new RangeError('baseUrl must not carry a query or fragment');
  return url;
}

/** Fractions of a millisecond come from settings in seconds; undici takes whole ones and reads 0 as "no limit". */
function checkedTimeoutMs(name: string, valueMs: number): number {
  if (!(valueMs > 0 && valueMs <= MAX_TIMER_MS)) {
    throw new RangeError(`${name} must be > 0 and <= ${MAX_TIMER_MS}, got ${valueMs}`);
  }
  return Math.ceil(valueMs);
}

function firstOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
