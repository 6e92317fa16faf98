import { expect, onTestFinished, test, vi } from 'vitest';
import { startBrokerInside } from '../support/broker/broker-inside.ts';
import { type BrokerProcess, PROCESS_TIMES, tally } from '../support/broker/broker-process.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { account, startFakeCsp } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { startFaultProxy } from '../support/store/fault-proxy.ts';
import { until } from '../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const WITHIN = { timeoutMs: 60_000 };

const readyz = (broker: BrokerProcess) => broker.call('GET', '/readyz');
const readyIs = (broker: BrokerProcess, status: number) =>
  until(async () => (await readyz(broker)).status === status, { ...WITHIN, what: `/readyz is ${status}` });

describeOnFastEngine('a pool that was never stocked', ({ endpoint }) => {
  async function setUp() {
    const csp = await startFakeCsp({ token: 'csp-token' });
    csp.add(account(), account(), account());
    const env = {
      DDB_TABLE_NAME: uniqueTable(),
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: 'csp-token',
      RETRY_MAX_RETRIES: '0',
      // A listing that is held must not end by itself, however long a busy machine takes to start a replica.
      CSP_TIMEOUT_READ_SEC: '300',
      SYNC_INTERVAL_SEC: '3600',
    };
    const { promise: until, resolve: release } = Promise.withResolvers<void>();
    const hold = () => csp.faults.add('list', { kind: 'hold', until }, { times: 10 });
    const start = (store = endpoint) => startBrokerInside({ ...env, DDB_ENDPOINT_URL: store });
    return { csp, hold, release, start };
  }

  test('is not ready and refuses nobody for good until its first sync has ended, on every replica', async () => {
    const { csp, hold, release, start } = await setUp();
    hold();
    const one = await start();
    const two = await start();
    for (const broker of [one, two]) {
      const { status, json, headers } = await readyz(broker);
      expect(status).toBe(503);
      expect(headers['retry-after']).toBeDefined();
      expect(json).toMatchObject({
        status: 'not_ready',
        verdict: 'no_go',
        checks: { pool: 'error: not synced yet', dynamodb: 'ok' },
        error: { code: 'POOL_NOT_SYNCED' },
      });
      const early = await broker.allocate('student');
      expect(tally([early])).toEqual({ '503 POOL_NOT_SYNCED': 1 });
      expect(Number(early.headers['retry-after'])).toBeGreaterThan(0);
    }

    release();
    await Promise.all([readyIs(one, 200), readyIs(two, 200)]);
    expect((await two.allocate('student')).status).toBe(201);
    expect((await one.allocate('another')).status).toBe(201);
    expect((await one.admin('GET', '/v1/admin/alerts')).json['alerts']).toEqual([]);
    await csp.close();
  });

  test('is not ready either while the store is away: it has nothing yet to stay in service for', async () => {
    const { csp, hold, release, start } = await setUp();
    hold();
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
    onTestFinished(() => proxy.close());
    const broker = await start(proxy.endpoint);
    await proxy.behave({ kind: 'refuse' });
    proxy.cutConnections();
    const away = 'error: the store does not answer';
    await until(async () => (await readyz(broker)).text.includes(away), {
      ...WITHIN,
      what: 'the store is missed',
    });
    expect(await readyz(broker)).toMatchObject({ status: 503, json: { status: 'not_ready' } });
    await proxy.behave({ kind: 'pass' });
    release();
    await readyIs(broker, 200);
    await csp.close();
  });

  test('serves all the same when its first sync fails, and says why there is nothing', async () => {
    const { csp, start } = await setUp();
    csp.faults.add('list', { kind: 'respond', status: 403 });
    const broker = await start();
    await readyIs(broker, 200);
    expect(tally([await broker.allocate('student')])).toEqual({ '409 NO_SANDBOXES_AVAILABLE': 1 });
    expect((await readyz(broker)).json).toMatchObject({
      status: 'ready',
      verdict: 'degraded',
      checks: {
        pool: 'degraded: never stocked, the first sync failed (unauthorized)',
        sync: 'degraded: the last one failed (unauthorized)',
      },
    });
    const raised = await broker.logged('the alert', ({ reason }) => reason === 'pool_empty');
    expect(raised).toMatchObject({ level: 'error', action: 'alert' });

    expect((await broker.admin('POST', '/v1/admin/sync')).status).toBe(200);
    expect((await readyz(broker)).json).toMatchObject({ verdict: 'go', checks: { pool: 'ok', sync: 'ok' } });
    await csp.close();
  });

  test('serves at once after a restart, whatever its provider does', async () => {
    const { csp, hold, start } = await setUp();
    const first = await start();
    await readyIs(first, 200);
    await first.stop();
    hold();
    const second = await start();
    expect((await readyz(second)).status).toBe(200);
    expect((await second.allocate('student')).status).toBe(201);
    await csp.close();
  });
});
