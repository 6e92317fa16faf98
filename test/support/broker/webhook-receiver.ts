import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenForTest } from '../listen.ts';

/** One request, after its body has arrived. */
export interface Received {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** As it was sent. */
  body: string;
  json: Record<string, unknown>;
  /** When it came, on the monotonic clock. */
  atMs: number;
  /** When the sender cut the connection before it had an answer. */
  cutAtMs?: number;
}

/** How a request is answered. `hang`: not at all. `drip`: with a body that never ends. */
export type Reaction =
  | {
      kind: 'answer';
      status: number;
      headers?: Record<string, string>;
      body?: string;
      until?: Promise<unknown>;
    }
  | { kind: 'hang' }
  | { kind: 'cut' }
  | { kind: 'drip' };

export type WebhookReceiver = Awaited<ReturnType<typeof startReceiver>>;

/** The far end of a webhook: a real HTTP server on 127.0.0.1 that closes itself after the test. */
export async function startReceiver(first: Reaction = { kind: 'answer', status: 200 }) {
  const requests: Received[] = [];
  const arrivals = new EventEmitter();
  let reaction = first;
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const received: Received = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body,
      json: JSON.parse(body),
      atMs: performance.now(),
    };
    requests.push(received);
    response.once('close', () => {
      if (!response.writableFinished) received.cutAtMs = performance.now();
    });
    arrivals.emit('request');
    const now = reaction;
    switch (now.kind) {
      case 'answer':
        await now.until;
        response.writeHead(now.status, now.headers).end(now.body);
        return;
      case 'cut':
        response.destroy();
        return;
      case 'drip': {
        response.writeHead(200);
        const timer = setInterval(() => response.write('.'), 20);
        response.once('close', () => clearInterval(timer));
        return;
      }
      case 'hang':
    }
  });
  const origin = await listenForTest(server);

  return {
    origin,
    url: `${origin}/services/T000/B000/s3cret-path`,
    /** In order of arrival. */
    requests,
    /** From now on. */
    react(next: Reaction): void {
      reaction = next;
    },
    /** Resolves once so many requests have arrived. */
    async arrived(count: number, withinMs = 20_000): Promise<void> {
      const signal = AbortSignal.timeout(withinMs);
      while (requests.length < count) await once(arrivals, 'request', { signal });
    },
  };
}
