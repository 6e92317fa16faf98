import { expect, onTestFinished, test, vi } from 'vitest';
import { startBrokerInside } from '../support/broker/broker-inside.ts';
import { ADMIN_TOKEN, type AnswerBody, type BrokerProcess } from '../support/broker/broker-process.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { account, type FakeCsp, startFakeCsp } from '../support/provider/fake-csp.ts';
import type { FakeFault } from '../support/provider/fake-csp-faults.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

const CSP_TOKEN = 'csp-token';
const DOWN: FakeFault = { kind: 'respond', status: 503 };
const OUTAGE = { times: Number.POSITIVE_INFINITY };
/** Each of these starts processes and waits for what they tell each other every few seconds. */
vi.setConfig({ testTimeout: 120_000 });
/** Replicas look at each other every five seconds. */
const SHARED_WITHIN_MS = 15_000;

describeOnFastEngine('brokers whose provider fails', ({ endpoint }) => {
  /** Replicas on one table, whose pool is a CSP of so many accounts. */
  async function start(replicas: number, accounts: number, env: Record<string, string>) {
    const csp: FakeCsp = await startFakeCsp({ token: CSP_TOKEN });
    onTestFinished(() => csp.close());
    for (let i = 0; i < accounts; i++) csp.add(account());
    const shared = {
      DDB_ENDPOINT_URL: endpoint,
      DDB_TABLE_NAME: uniqueTable(),
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: CSP_TOKEN,
      CLEANUP_CONCURRENCY: '1',
      CLEANUP_INTERVAL_SEC: '3600',
      RETRY_BASE_DELAY_SEC: '0.01',
      ...env,
    };
    const brokers: BrokerProcess[] = [];
    for (let i = 0; i < replicas; i++) {
      const broker = await startBrokerInside(shared);
      await broker.logged('the first sync', ({ action, outcome }) => {
        return action === 'background_sync' && outcome === 'success';
      });
      brokers.push(broker);
    }
    return { csp, brokers };
  }

  const runs = (broker: BrokerProcess, run: string) => broker.admin('POST', `/v1/admin/${run}`);
  async function breaker(broker: BrokerProcess, name: string): Promise<AnswerBody> {
    const { json } = await broker.admin('GET', '/v1/admin/breakers');
    const found = (json['breakers'] as AnswerBody[]).find((each) => each['name'] === name);
    return found ?? expect.fail(`no breaker ${name}`);
  }
  const operate = (broker: BrokerProcess, path: string, body?: unknown) =>
    broker.call('POST', `/v1/admin/breakers/${path}`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const retries = async (broker: BrokerProcess, query = '') =>
    (await broker.admin('GET', `/v1/admin/retries${query}`)).json as {
      open: AnswerBody[];
      ended: AnswerBody[];
      tasks: { task: string; attempts: AnswerBody[] }[];
      shared: boolean;
    };
  const isAlert =
    (reason: string) =>
    ({ action, reason: told }: { action?: string; reason?: unknown }) =>
      action === 'alert' && told === reason;

  test('open the breaker together, leave the queue as it is, and come back by themselves', async () => {
    const env = { BREAKER_OPEN_SEC: '5', RETRY_MAX_RETRIES: '1' };
    const { csp, brokers } = await start(2, 8, env);
    const [first, second] = brokers as [BrokerProcess, BrokerProcess];
    for (let i = 0; i < 8; i++) {
      const { json } = await first.allocate(`holder-${i}`);
      await first.mark(String(json.sandbox_id), `holder-${i}`);
    }
    csp.faults.add('delete', DOWN, OUTAGE);

    expect((await runs(first, 'cleanup')).json).toMatchObject({ due: 8, failed: 5, skipped: 3 });
    const sent = csp.calls.filter(({ operation }) => operation === 'delete').length;
    expect(sent).toBe(10);
    for (const broker of brokers) {
      expect(await breaker(broker, 'csp_delete')).toMatchObject({ state: 'open', shared: true });
      expect(await breaker(broker, 'csp_list')).toMatchObject({ state: 'closed', failures: 0 });
    }
    await first.logged('the alert', isAlert('breaker_opened'));
    expect(second.logs.filter(isAlert('breaker_opened'))).toEqual([]);
    expect((await runs(second, 'cleanup')).json).toMatchObject({ due: 3, failed: 0, skipped: 3 });
    expect(csp.calls.filter(({ operation }) => operation === 'delete')).toHaveLength(sent);
    const gauge = 'broker_circuit_state{name="csp_delete"}';
    await until(async () => (await second.metrics())[gauge] === 1, {
      timeoutMs: SHARED_WITHIN_MS,
      what: 'the other replica shows the breaker open',
    });

    csp.faults.clear();
    const deleted = async () =>
      ((await second.admin('GET', '/v1/admin/sandboxes?status=deleted')).json['sandboxes'] as unknown[])
        .length;
    await until(async () => (await deleted()) === 8, { what: 'all are deleted, at nobody’s word' });
    for (const broker of brokers) {
      await until(async () => (await broker.metrics())[gauge] === 0, {
        timeoutMs: SHARED_WITHIN_MS,
        what: 'the breaker is closed',
      });
    }
    // Whichever cleans up again first.
    const either = (what: string, reason: string) =>
      Promise.any(brokers.map((broker) => broker.logged(what, isAlert(reason))));
    await either('the probe', 'breaker_half_open');
    await either('the end of it', 'breaker_closed');
    // Those that failed first had three attempts each, as both replicas know.
    for (const broker of brokers) {
      const triedAgain = async () =>
        (await retries(broker, '?task=csp_delete')).ended.filter(({ attempts }) => attempts === 3);
      await until(async () => (await triedAgain()).length === 5, {
        timeoutMs: SHARED_WITHIN_MS,
        what: 'the replica knows of the deletes that failed first',
      });
    }
  });

  test('heal what passes by itself and tell how often they tried, and obey an operator', async () => {
    const { csp, brokers } = await start(1, 3, {});
    const [broker] = brokers as [BrokerProcess];
    csp.faults.add('list', DOWN, { times: 2 });
    expect((await runs(broker, 'sync')).json).toMatchObject({ status: 'completed', listed: 3 });
    expect((await broker.metrics())['broker_retry_attempts_total{bucket="3"}']).toBe(1);
    const { tasks, ended, shared } = await retries(broker, '?task=csp_list');
    expect(tasks.flatMap(({ attempts }) => attempts).slice(-3)).toMatchObject([
      { attempt: 1, outcome: 'server_error', wait_seconds: expect.any(Number) },
      { attempt: 2, outcome: 'server_error', wait_seconds: expect.any(Number) },
      { attempt: 3, outcome: 'success' },
    ]);
    expect(ended[0]).toMatchObject({ task: 'csp_list', attempts: 3, result: 'success' });
    expect(shared).toBe(true);

    const held = await operate(broker, 'csp_list/override', { state: 'open', duration_seconds: 3600 });
    expect(held.json).toMatchObject({ name: 'csp_list', state: 'open', override: { state: 'open' } });
    const listed = csp.calls.length;
    const { status, headers, json } = await runs(broker, 'sync');
    expect([status, json.error?.code]).toEqual([502, 'PROVIDER_UNAVAILABLE']);
    expect(Number(headers['retry-after'])).toBeGreaterThan(3_000);
    expect(csp.calls).toHaveLength(listed);
    expect((await operate(broker, 'csp_list/reset')).json).toMatchObject({ state: 'closed' });
    expect((await runs(broker, 'sync')).status).toBe(200);
  });

  test('raise an alert for a burst of retries, and none before it', async () => {
    const { csp, brokers } = await start(1, 1, {
      RETRY_SPIKE_WINDOW_SEC: '1',
      RETRY_MAX_RETRIES: '20',
      RETRY_MULTIPLIER: '1',
    });
    const [broker] = brokers as [BrokerProcess];
    await until(
      async () => {
        const { json } = await broker.admin('GET', '/v1/admin/retries');
        return Number((json['spike'] as AnswerBody)['completed_windows']) >= 3;
      },
      { what: 'three quiet windows' },
    );
    expect(broker.logs.filter(isAlert('retry_spike'))).toEqual([]);
    // Twice as many as a spike needs: wherever a window ends, one of the two has enough.
    csp.faults.add('list', DOWN, { times: 20 });
    expect((await runs(broker, 'sync')).status).toBe(200);
    await broker.logged('the alert', isAlert('retry_spike'));
    await broker.logged('the other one', isAlert('retry_attempts_high'));
  });
});
