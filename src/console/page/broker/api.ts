interface Refusal {
  status: number;
  code: string;
  retryAfterSeconds?: number | undefined;
  cause?: unknown;
}

/** A refusal, or no answer at all (`status` 0). */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, options: Refusal) {
    super(message, { cause: options.cause });
    this.name = 'ApiError';
    this.status = options.status;
    this.code = options.code;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** The broker's API with one token. Everything throws {@link ApiError}. */
export interface Api {
  get<Answer>(path: string, signal?: AbortSignal): Promise<Answer>;
  /** What is too large for an answer on the page. */
  file(path: string): Promise<Blob>;
  /** `headers` besides those that every request has; `body` as JSON. A key of its own makes a repetition harmless. */
  post<Answer>(path: string, more?: { headers?: Record<string, string>; body?: object }): Promise<Answer>;
  put<Answer>(path: string, body: object): Promise<Answer>;
  delete<Answer>(path: string): Promise<Answer>;
  /** The stream of events, open. */
  stream(
    lastEventId: string | undefined,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>>>;
}

const UNREACHABLE = { status: 0, code: 'UNREACHABLE' };
const ANSWER_WITHIN_MS = 30_000;
const FILE_WITHIN_MS = 600_000;

/** `onRefused` is told when the token is not, or no longer, known. */
export function createApi(token: string, onRefused: (error: ApiError) => void): Api {
  async function send(path: string, init: RequestInit): Promise<Response> {
    const headers = { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) };
    let response: Response;
    try {
      response = await fetch(path, { ...init, headers, cache: 'no-store', credentials: 'omit' });
    } catch (error) {
      if (init.signal?.aborted === true && init.signal.reason?.name !== 'TimeoutError') throw error;
      throw new ApiError('The broker does not answer.', { ...UNREACHABLE, cause: error });
    }
    if (response.ok) return response;
    const refusal = await refusalOf(response);
    if (refusal.status === 401) onRefused(refusal);
    throw refusal;
  }

  const within = (signal: AbortSignal | undefined): AbortSignal => {
    const timeout = AbortSignal.timeout(ANSWER_WITHIN_MS);
    return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  };

  return {
    async get<Answer>(path: string, signal?: AbortSignal) {
      return (await (await send(path, { signal: within(signal) })).json()) as Answer;
    },
    async file(path) {
      return (await send(path, { signal: AbortSignal.timeout(FILE_WITHIN_MS) })).blob();
    },
    async post<Answer>(path: string, { headers = {}, body }: Parameters<Api['post']>[1] = {}) {
      const init = {
        method: 'POST',
        headers: {
          'idempotency-key': randomKey(),
          ...(body && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body && { body: JSON.stringify(body) }),
        signal: within(undefined),
      };
      return (await (await send(path, init)).json()) as Answer;
    },
    async put<Answer>(path: string, body: object) {
      const headers = { 'content-type': 'application/json' };
      const init = { method: 'PUT', headers, body: JSON.stringify(body), signal: within(undefined) };
      return (await (await send(path, init)).json()) as Answer;
    },
    async delete<Answer>(path: string) {
      return (await (await send(path, { method: 'DELETE', signal: within(undefined) })).json()) as Answer;
    },
    async stream(lastEventId, signal) {
      const headers: Record<string, string> =
        lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
      const { body } = await send('/v1/admin/stream', { headers, signal });
      if (body === null) throw new ApiError('The broker sent an empty stream.', UNREACHABLE);
      return body;
    },
  };
}

async function refusalOf(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => undefined)) as
    | { error?: { code?: string; message?: string; retry_after?: number } }
    | undefined;
  const { code = 'UNKNOWN', message = `The answer was ${response.status}.`, retry_after } = body?.error ?? {};
  return new ApiError(message, { status: response.status, code, retryAfterSeconds: retry_after });
}

/** `crypto.randomUUID` is there over https and on localhost only. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('');
}

/** What went wrong, in words for an operator. */
export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return 'Something went wrong on this page. Reload it.';
  const wait = error.retryAfterSeconds === undefined ? '' : ` Try again in ${error.retryAfterSeconds} s.`;
  switch (error.status) {
    case 0:
      return error.message;
    case 401:
      return 'This token is not known to the broker.';
    case 429:
      return `Too many requests: ${error.message}${wait}`;
    case 502:
    case 503:
      return `The broker cannot do that at the moment: ${error.message}${wait}`;
    default:
      return `${error.message}${wait}`;
  }
}
