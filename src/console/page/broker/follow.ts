import { type Api, ApiError, explain } from './api.ts';
import { createEventParser, type ServerEvent } from './event-parser.ts';

/** How the page is connected. Times are epoch milliseconds of the browser's clock. */
export type Connection =
  | { state: 'connecting' }
  | { state: 'live'; newsAtMs: number }
  | { state: 'lost'; newsAtMs: number | undefined; retryAtMs: number; why: string };

interface FollowOptions {
  api: Api;
  onEvent: (type: string, data: unknown) => void;
  onConnection: (connection: Connection) => void;
  signal: AbortSignal;
}

const BACKOFF_MS = { first: 500, longest: 15_000 };
/** The broker gives a sign of life every five seconds. */
const SILENCE_MS = 17_000;

/** Follows the stream of events until `signal` fires, over every break: it comes back by itself, and says where it was. */
export async function follow({ api, onEvent, onConnection, signal }: FollowOptions): Promise<void> {
  let lastEventId: string | undefined;
  let newsAtMs: number | undefined;
  let failures = 0;
  const onServerEvent = ({ type, id, data }: ServerEvent) => {
    lastEventId = id;
    onEvent(type, JSON.parse(data));
  };

  while (!signal.aborted) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    let why = 'The broker ended the connection.';
    let waitMs = 0;
    try {
      const stream = await api.stream(lastEventId, AbortSignal.any([signal, silence.signal]));
      const parse = createEventParser(onServerEvent);
      const decoder = new TextDecoder();
      for await (const bytes of stream) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        failures = 0;
        newsAtMs = Date.now();
        onConnection({ state: 'live', newsAtMs });
        parse(decoder.decode(bytes, { stream: true }));
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return;
      why = error instanceof ApiError ? explain(error) : 'The connection to the broker was lost.';
      waitMs = error instanceof ApiError ? (error.retryAfterSeconds ?? 0) * 1_000 : 0;
    } finally {
      clearTimeout(timer);
    }
    const backoffMs =
      Math.min(BACKOFF_MS.first * 2 ** failures++, BACKOFF_MS.longest) * (0.8 + Math.random() * 0.4);
    const restMs = Math.max(waitMs, backoffMs);
    onConnection({ state: 'lost', newsAtMs, retryAtMs: Date.now() + restMs, why });
    await rest(restMs, signal);
  }
}

/** Ends early when the network is back, or when `signal` fires. */
function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => {
      clearTimeout(timer);
      over.abort();
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end, { signal: over.signal });
    addEventListener('online', end, { signal: over.signal });
  });
}
