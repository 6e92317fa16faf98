import { createServer, type IncomingHttpHeaders } from 'node:http';
import { listenForTest } from '../support/listen.ts';

/** What a front answers by itself, instead of the broker behind it. */
export interface OwnAnswer {
  status: number;
  headers?: Record<string, string>;
  body: string;
}

/** A server in front of a broker, as an ingress is: it remembers what came by, and can answer in the broker's place. */
export interface Front {
  readonly url: string;
  readonly seen: readonly { line: string; headers: IncomingHttpHeaders }[];
  /** Own answers that have arrived: their connections were closed from the other side. */
  readonly arrived: number;
  /** Gives these answers to the next requests, in this order. */
  answer(...answers: OwnAnswer[]): void;
}

/** Starts one that is gone after the test. */
export async function startFront(brokerUrl: string): Promise<Front> {
  const own: OwnAnswer[] = [];
  const seen: { line: string; headers: IncomingHttpHeaders }[] = [];
  let arrived = 0;
  const server = createServer(async (request, response) => {
    seen.push({ line: `${request.method} ${request.url}`, headers: request.headers });
    const next = own.shift();
    if (next !== undefined) {
      request.socket.once('close', () => {
        arrived += 1;
      });
      return void response.writeHead(next.status, { ...next.headers, connection: 'close' }).end(next.body);
    }
    const headers = Object.fromEntries(
      ['authorization', 'x-track-id', 'idempotency-key'].flatMap((name) => {
        const value = request.headers[name];
        return typeof value === 'string' ? [[name, value]] : [];
      }),
    );
    const behind = await fetch(`${brokerUrl}${request.url}`, { method: request.method ?? 'GET', headers });
    response.writeHead(behind.status, Object.fromEntries(behind.headers)).end(await behind.text());
  });
  return {
    url: await listenForTest(server),
    seen,
    get arrived() {
      return arrived;
    },
    answer: (...answers) => void own.push(...answers),
  };
}

/** A refusal as a broker gives it. */
export const refusal = (status: number, code: string, retryAfterSeconds?: number): OwnAnswer => ({
  status,
  headers: {
    'content-type': 'application/json',
    ...(retryAfterSeconds !== undefined && { 'retry-after': String(retryAfterSeconds) }),
  },
  body: JSON.stringify({ error: { code, message: 'Not now.', request_id: 'req-1' } }),
});
