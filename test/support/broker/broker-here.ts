import { Agent } from 'undici';
import { onTestFinished } from 'vitest';
import { type Broker, type BrokerOverrides, composeBroker } from '../../../src/compose/index.ts';
import { loadConfig } from '../../../src/config/index.ts';
import { until } from '../until.ts';
import { uniqueTable } from './core.ts';

export interface HereAnswer {
  status: number;
  headers: Record<string, unknown>;
  json: Record<string, unknown> & { error?: { code: string; retry_after?: number; details?: unknown } };
}

/** A whole broker inside of the test's process, behind a real socket and before a real engine. */
export interface BrokerHere {
  broker: Broker;
  url: string;
  table: string;
  asTrack(method: string, path: string, holder: string): Promise<HereAnswer>;
  asAdmin(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<HereAnswer>;
  /** One sample of `/metrics`, by name and labels. */
  metric(series: string): Promise<number | undefined>;
}

interface Loop {
  last_run: object | null;
  left_to_others_at: number | null;
}

/** Starts one with its simulated pool listed, and ends it with the test. Loops come by only at the start. */
export async function startBrokerHere(
  endpoint: string,
  env: Record<string, string> = {},
  prepare: (broker: Broker) => void = () => undefined,
  overrides: BrokerOverrides = {},
): Promise<BrokerHere> {
  const table = env['DDB_TABLE_NAME'] ?? uniqueTable();
  const broker = composeBroker(
    loadConfig({
      PORT: '0',
      LOG_LEVEL: 'silent',
      DDB_ENDPOINT_URL: endpoint,
      DDB_TABLE_NAME: table,
      DDB_BUCKETS: '4',
      SIMULATED_POOL_SIZE: '5',
      RATE_LIMIT_RPS: '100000',
      RATE_LIMIT_BURST: '100000',
      ...env,
    }),
    overrides,
  );
  prepare(broker);
  // Client and broker share one thread: with a socket per call a storm would be about sockets.
  const agent = new Agent({ connections: 100, headersTimeout: 120_000 });
  onTestFinished(async () => {
    await agent.destroy();
    await broker.stop();
  });
  const { url } = await broker.start();

  async function call(method: string, path: string, headers: Record<string, string>, body?: unknown) {
    const response = await agent.request({
      origin: url,
      path,
      method: method as 'GET',
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await response.body.text();
    const isJson = String(response.headers['content-type']).startsWith('application/json');
    return {
      status: response.statusCode,
      headers: response.headers,
      text,
      json: (isJson ? JSON.parse(text) : {}) as HereAnswer['json'],
    };
  }
  const here: BrokerHere = {
    broker,
    url,
    table,
    asTrack: (method, path, holder) =>
      call(method, path, { authorization: 'Bearer dev-track-token', 'x-track-id': holder }),
    asAdmin: (method, path, body, headers = {}) =>
      call(method, path, { authorization: 'Bearer dev-admin-token', ...headers }, body),
    async metric(series) {
      const { text } = await call('GET', '/metrics', {});
      const line = text.split('\n').find((each) => each.startsWith(`${series} `));
      return line === undefined ? undefined : Number(line.slice(series.length + 1));
    },
  };
  await until(async () => Number((await here.asAdmin('GET', '/v1/admin/stats')).json['total']) > 0, {
    what: 'the first sync',
  });
  // Another run of the kind is refused while one is at work.
  const isAtRest = async () => {
    const { loops } = (await here.asAdmin('GET', '/v1/admin/status')).json as { loops: Loop[] };
    return loops.every((loop) => loop.last_run !== null || loop.left_to_others_at !== null);
  };
  await until(isAtRest, { what: 'the end of each loop’s first run' });
  return here;
}
