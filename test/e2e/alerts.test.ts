import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { startBrokerInside } from '../support/broker/broker-inside.ts';
import type { AnswerBody, BrokerProcess, LogLine } from '../support/broker/broker-process.ts';
import { startReplicas } from '../support/broker/broker-replicas.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { startReceiver, type WebhookReceiver } from '../support/broker/webhook-receiver.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { startFaultProxy } from '../support/store/fault-proxy.ts';
import { temporaryFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

/** Whole processes start and end in each of these. */
vi.setConfig({ testTimeout: 120_000 });

const SECRET = 'a-signing-secret-of-ours';
/** Only what a test asks for runs. */
const RARE_LOOPS = {
  SYNC_INTERVAL_SEC: '3600',
  CLEANUP_INTERVAL_SEC: '3600',
  AUTO_EXPIRY_INTERVAL_SEC: '3600',
};

interface ShownAlert {
  id: string;
  task: string;
  reason: string;
  severity: string;
  context: Record<string, unknown>;
  replica: string;
}

async function alertsOf(broker: BrokerProcess, query = ''): Promise<ShownAlert[]> {
  const { status, json } = await broker.admin('GET', `/v1/admin/alerts${query}`);
  expect(status).toBe(200);
  return json['alerts'] as ShownAlert[];
}

/** The first alert with this reason that `broker` shows. */
const shown = (broker: BrokerProcess, reason: string): Promise<ShownAlert> =>
  until(async () => (await alertsOf(broker)).find((alert) => alert.reason === reason), {
    timeoutMs: 30_000,
    what: `${reason} is shown`,
  });

/** The webhook's request with this reason. */
const toldOf = (receiver: WebhookReceiver, reason: string) =>
  until(() => receiver.requests.find(({ json }) => json['reason'] === reason), {
    timeoutMs: 30_000,
    what: `the webhook is told of ${reason}`,
  });

const emptyThePool = async (broker: BrokerProcess, size: number) => {
  for (let n = 0; n < size; n++) expect((await broker.allocate(`student-${n}`)).status).toBe(201);
  // A run that changed nothing counts the pool all the same, at once.
  expect((await broker.admin('POST', '/v1/admin/expire')).status).toBe(200);
};

describeOnFastEngine('two replicas with a webhook', ({ endpoint }) => {
  test("show each other's alerts, raise each once, and post them signed", async () => {
    const receiver = await startReceiver();
    const replicas = await startReplicas({
      endpoint,
      inside: true,
      count: 2,
      poolSize: 3,
      env: {
        ...RARE_LOOPS,
        POOL_LOW_WATERMARK: '3',
        ALERT_WEBHOOK_URL: receiver.url,
        ALERT_WEBHOOK_SECRET: SECRET,
      },
    });
    const [one, two] = replicas as [BrokerProcess, BrokerProcess];
    await emptyThePool(one, 3);

    const here = await shown(one, 'pool_empty');
    expect(await shown(two, 'pool_empty')).toEqual(here);
    expect(here).toMatchObject({ task: 'pool', severity: 'error', context: { available: 0, total: 3 } });
    const raisedAs = await Promise.any(
      replicas.map((each) => each.logged('the alert', ({ alert_id: id }) => id === here.id)),
    );
    expect(raisedAs).toMatchObject({ level: 'error', action: 'alert', reason: 'pool_empty' });

    const told = await toldOf(receiver, 'pool_empty');
    expect(told.json).toMatchObject({ id: here.id, context: here.context, replica: here.replica });
    const { isFromBroker } = await verificationExample();
    expect(isFromBroker(SECRET, told.headers, told.body)).toBe(true);
    expect(isFromBroker('another-secret-of-ours', told.headers, told.body)).toBe(false);
    expect(isFromBroker(SECRET, told.headers, `${told.body} `)).toBe(false);
    const late = { ...told.headers, 'x-broker-timestamp': '1700000000' };
    expect(isFromBroker(SECRET, late, told.body)).toBe(false);

    await one.mark(String((await one.allocate('student-0')).json.sandbox_id), 'student-0');
    await one.mark(String((await one.allocate('student-1')).json.sandbox_id), 'student-1');
    await one.mark(String((await one.allocate('student-2')).json.sandbox_id), 'student-2');
    await two.admin('POST', '/v1/admin/cleanup');

    for (const replica of replicas) {
      // Whoever raised it has it at once, the other one with its record.
      expect(await shown(replica, 'pool_recovered')).toMatchObject({ severity: 'info' });
      const reasons = (await alertsOf(replica, '?task=pool')).map(({ reason }) => reason);
      expect(reasons.filter((reason) => reason === 'pool_empty')).toHaveLength(1);
      expect(reasons[0]).toBe('pool_recovered');
      expect(await alertsOf(replica, '?limit=0')).toEqual([]);
      const severe = await alertsOf(replica, '?min_severity=error&task=pool');
      expect(severe.map(({ severity }) => severity)).toEqual(['error']);
    }
    const counted = await Promise.all(replicas.map((replica) => replica.metrics()));
    const sumOf = (name: string) => counted.reduce((sum, samples) => sum + (samples[name] ?? 0), 0);
    expect(sumOf('broker_alerts_total{task="pool",severity="error"}')).toBe(1);
    expect(sumOf('broker_alert_webhook_total{outcome="failed"}')).toBe(0);

    // A week is longer than a life: whoever comes later sees it, too.
    await Promise.all(replicas.map((replica) => replica.stop()));
    expect(receiver.requests.filter(({ json }) => json['reason'] === 'pool_empty')).toHaveLength(1);
  });
});

describeOnFastEngine('a broker', ({ endpoint }) => {
  const start = (env: Record<string, string>) =>
    startBrokerInside({
      DDB_ENDPOINT_URL: endpoint,
      DDB_TABLE_NAME: uniqueTable(),
      SIMULATED_POOL_SIZE: '2',
      ...RARE_LOOPS,
      ...env,
    });
  const stocked = (broker: BrokerProcess) =>
    broker.logged('a pool to lease from', ({ created }) => Number(created) > 0);

  test('answers requests while its webhook hangs, and ends within its bound', async () => {
    const receiver = await startReceiver({ kind: 'hang' });
    const broker = await start({ ALERT_WEBHOOK_URL: receiver.url });
    await stocked(broker);
    await emptyThePool(broker, 2);
    await receiver.arrived(1);
    // The webhook has the request and does not answer; all of these are answered before the alert is given up.
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => broker.allocate(n % 2 ? 'student-0' : `late-${n}`)),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 409]));
    expect(broker.logs.filter(({ action }) => action === 'alert_webhook')).toEqual([]);
    expect(await broker.stop()).toEqual({ code: 0, signal: null });
    // Its time may have been over by then: nothing is tried again once the broker ends.
    expect(broker.logs.find(({ action }) => action === 'alert_webhook')).toMatchObject({
      level: 'warn',
      outcome: expect.stringMatching(/^(dropped|failed)$/),
      reason: 'pool_empty',
    });
  });

  test('sends what waits before it ends', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const receiver = await startReceiver({ kind: 'answer', status: 200, until: released });
    const broker = await start({ ALERT_WEBHOOK_URL: receiver.url });
    await stocked(broker);
    await emptyThePool(broker, 2);
    await receiver.arrived(1);
    const exit = broker.stop();
    await broker.logged('the shutdown begins', ({ msg }) => msg === 'shutting down');
    release();
    expect(await exit).toEqual({ code: 0, signal: null });
    expect(broker.logs.filter(({ action }) => action === 'alert_webhook')).toEqual([]);
  });

  test("writes the alert's correlation id down, and no credential of the webhook anywhere", async () => {
    const receiver = await startReceiver({ kind: 'answer', status: 404 });
    const url = receiver.url.replace('//', '//hook-user:s3cret-pass@');
    const broker = await start({
      LOG_LEVEL: 'trace',
      ALERT_WEBHOOK_URL: `${url}?key=s3cret-key`,
      ALERT_WEBHOOK_FORMAT: 'slack',
      ALERT_WEBHOOK_SECRET: 's3cret-signing-key',
    });
    await stocked(broker);
    await emptyThePool(broker, 2);
    await receiver.arrived(1);
    const failed = await broker.logged(
      'the webhook refuses',
      ({ action, outcome }) => action === 'alert_webhook' && outcome === 'failed',
    );
    expect(failed).toMatchObject({ level: 'warn', reason: 'pool_empty', err: { status: 404 } });
    expect(String(receiver.requests[0]?.json['text'])).toContain('pool: pool_empty');
    const alert = await shown(broker, 'pool_empty');
    const line = broker.logs.find(({ alert_id: id }) => id === alert.id) as LogLine;
    expect(alert.context).toMatchObject({
      request_id: line['request_id'],
      correlation_id: line['correlation_id'],
    });
    expect(alert.context['correlation_id']).toBeTypeOf('string');
    expect(broker.logs[0]).toMatchObject({
      config: { alertWebhook: { origin: receiver.origin, format: 'slack', signed: true } },
    });
    await broker.stop();
    const everything = JSON.stringify([broker.logs, broker.stderr()]);
    expect(everything).not.toMatch(/s3cret|T000/);
  });

  test('posts nothing in a dry run, and says what it would have posted', async () => {
    const receiver = await startReceiver();
    const broker = await start({ ALERT_WEBHOOK_URL: receiver.url, DRY_RUN: 'true' });
    await stocked(broker);
    await emptyThePool(broker, 2);
    await shown(broker, 'pool_empty');
    const entry = await until(
      async () => {
        const { json } = await broker.admin('GET', '/v1/admin/dry-run/log?action=external_call');
        return (json['entries'] as AnswerBody[])[0];
      },
      { what: 'an entry in the log' },
    );
    expect(entry).toMatchObject({ status: 'dry_run_blocked' });
    expect(receiver.requests).toEqual([]);
  });

  test('shows and posts its own alerts while the store is away', async () => {
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
    onTestFinished(() => proxy.close());
    const receiver = await startReceiver();
    const broker = await start({
      DDB_ENDPOINT_URL: proxy.endpoint,
      ALERT_WEBHOOK_URL: receiver.url,
      SYNC_INTERVAL_SEC: '1',
    });
    await stocked(broker);
    await proxy.behave({ kind: 'refuse' });
    proxy.cutConnections();
    await toldOf(receiver, 'run_failed');
    const { status, json } = await broker.admin('GET', '/v1/admin/alerts');
    expect(status).toBe(200);
    expect(json).toMatchObject({ source: 'this_replica', complete: false });
    expect(json['alerts']).toContainEqual(expect.objectContaining({ reason: 'run_failed' }));
    await proxy.behave({ kind: 'pass' });
    const back = await until(
      async () => {
        const answer = await broker.admin('GET', '/v1/admin/alerts');
        return answer.json['source'] === 'all_replicas' ? answer : undefined;
      },
      { what: 'the store is back' },
    );
    expect(back.json['alerts']).toContainEqual(expect.objectContaining({ reason: 'run_failed' }));
  });
});

/** The operating guide's example, as it stands there. */
async function verificationExample(): Promise<{
  isFromBroker(secret: string, headers: Record<string, unknown>, body: string): boolean;
}> {
  const guide = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const [, source] = /```js\n([\s\S]*?)\n```/.exec(guide) ?? [];
  if (source === undefined) throw new Error('the guide has no example');
  const file = join(await temporaryFolder(), 'verify.mjs');
  await writeFile(file, source);
  return await import(pathToFileURL(file).href);
}

describe("the guide's example", () => {
  test('takes no request without a signature', async () => {
    const { isFromBroker } = await verificationExample();
    expect(isFromBroker(SECRET, {}, '')).toBe(false);
    const now = String(Math.floor(Date.now() / 1000));
    expect(isFromBroker(SECRET, { 'x-broker-timestamp': now }, '')).toBe(false);
    expect(isFromBroker(SECRET, { 'x-broker-timestamp': now, 'x-broker-signature': 'v1=zz' }, '')).toBe(
      false,
    );
  });
});
