import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { Agent } from 'undici';
import { onTestFinished } from 'vitest';
import { type AppDeps, buildApp } from '../../../src/app.ts';
import { until } from '../until.ts';
import { ADMIN_TOKEN, fakeAppDeps, type LogLine, type Recorded, TRACK_TOKEN } from './fake-app-deps.ts';

const LOGGED_WITHIN_MS = 10_000;

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The body, parsed; only for JSON. */
  json: Record<string, unknown> & { error?: ErrorFields };
}

export interface ErrorFields {
  code: string;
  message: string;
  request_id: string;
  retry_after?: number;
  details?: { fields?: { in: string; name: string; problem: string }[]; allowed?: string[] };
}

export interface TestCall {
  headers?: Record<string, string> | string[];
  body?: string | Buffer;
}

export interface TestApp {
  app: FastifyInstance;
  port: number;
  recorded: Recorded;
  call(method: string, path: string, options?: TestCall): Promise<Answer>;
  /** Sends bytes as they are, and gives everything that comes back until the broker closes the connection. */
  raw(...chunks: (string | Buffer)[]): Promise<string>;
  /** Like `raw`, for a client that looks at the answer only once it has sent everything. */
  sendThenRead(bytes: string): Promise<string>;
  connect(): Promise<Socket>;
  /** Waits for the log line that `matches`. */
  logged(matches: (line: LogLine) => boolean): Promise<LogLine>;
}

export const asTrack = (headers: Record<string, string> = {}): Record<string, string> => ({
  authorization: `Bearer ${TRACK_TOKEN}`,
  'x-track-id': 'holder-1',
  ...headers,
});
export const asAdmin = (headers: Record<string, string> = {}): Record<string, string> => ({
  authorization: `Bearer ${ADMIN_TOKEN}`,
  ...headers,
});

/** The app on a port of its own, with fakes behind it; both go away with the test. */
export async function startApp(overrides: Partial<AppDeps> = {}): Promise<TestApp> {
  const { deps, recorded } = fakeAppDeps(overrides);
  const app = buildApp(deps);
  const agent = new Agent();
  onTestFinished(async () => {
    await agent.destroy();
    app.server.closeAllConnections();
    await app.close();
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;

  async function call(method: string, path: string, { headers = {}, body }: TestCall = {}): Promise<Answer> {
    const response = await agent.request({
      origin: `http://127.0.0.1:${port}`,
      path,
      method: method as 'GET',
      headers,
      body: body ?? null,
    });
    const text = await response.body.text();
    const isJson = String(response.headers['content-type']).startsWith('application/json') && text !== '';
    return {
      status: response.statusCode,
      headers: response.headers,
      text,
      json: isJson ? JSON.parse(text) : {},
    };
  }

  async function open(): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    return socket;
  }

  async function receive(socket: Socket): Promise<string> {
    let received = '';
    socket.on('data', (data) => {
      received += data.toString('latin1');
    });
    await new Promise((resolve) => socket.on('close', resolve));
    return received;
  }

  async function raw(...chunks: (string | Buffer)[]): Promise<string> {
    const socket = await open();
    for (const chunk of chunks) socket.write(chunk);
    return receive(socket);
  }

  async function sendThenRead(bytes: string): Promise<string> {
    const socket = await open();
    // Ends with the last byte sent, or with the connection.
    await new Promise((resolve) => socket.write(bytes, resolve));
    return receive(socket);
  }

  async function logged(matches: (line: LogLine) => boolean): Promise<LogLine> {
    const find = () => {
      const found = recorded.logs.find(matches);
      if (found === undefined) throw new Error(`no such line among ${JSON.stringify(recorded.logs)}`);
      return found;
    };
    return until(find, { timeoutMs: LOGGED_WITHIN_MS, what: 'the log line' });
  }

  return { app, port, recorded, call, raw, sendThenRead, connect: open, logged };
}
