import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../../../src/config/index.ts';
import { RESOURCES, scopedQuotas } from '../../../../src/domain/resilience/action.ts';
import { createGovernor, type QuotaAlert } from '../../../../src/safety/quota/governor.ts';
import { createSandboxStore } from '../../../../src/store/sandboxes/sandboxes.ts';
import { type BrokerHere, startBrokerHere } from '../../../support/broker/broker-here.ts';
import { createCountingClient } from '../../../support/broker/core.ts';
import { START_MS } from '../../../support/broker/fake-app-deps.ts';
import { asAdmin, asTrack, startApp } from '../../../support/broker/http-app.ts';
import { RECORDS } from '../../../support/broker/records.ts';
import { describeOnFastEngine } from '../../../support/store/engines.ts';
import { until } from '../../../support/until.ts';

/** A governor as it is in the broker, with quotas of its own; what is counted in the store is not asked for here. */
function governorOf(quotas: Partial<ReturnType<typeof loadConfig>['quotas']>) {
  let nowMs = START_MS;
  const alerts: QuotaAlert[] = [];
  const governor = createGovernor({
    quotas: scopedQuotas({ ...loadConfig({}).quotas, ...quotas }),
    store: {
      take: () => Promise.reject(new Error('not here')),
      read: () => Promise.reject(new Error('not here')),
      setLimit: async () => undefined,
      clearLimit: async () => undefined,
    },
    clock: { nowMs: () => nowMs },
    alert: (alert) => alerts.push(alert),
  });
  return { governor, alerts, advance: (ms: number) => (nowMs += ms) };
}

const TWO = { api_call: { maxActions: 2, windowSeconds: 60 } };

describe('the quota of calls', () => {
  test('is 429 with Retry-After for the holder who used it up, and for no other', async () => {
    const { governor, advance, alerts } = governorOf(TWO);
    const { call, recorded } = await startApp({ governor });
    const look = (holder: string) =>
      call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack({ 'x-track-id': holder }) });
    expect([(await look('a')).status, (await look('a')).status]).toEqual([200, 200]);
    const refused = await look('a');
    expect(refused.status).toBe(429);
    expect(refused.json.error).toMatchObject({ code: 'QUOTA_EXCEEDED', details: { resource: 'api_call' } });
    expect(Number(refused.headers['retry-after'])).toBe(refused.json.error?.retry_after);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
    expect(recorded.of('getSandbox')).toHaveLength(2);
    expect((await look('b')).status).toBe(200);
    advance(Number(refused.headers['retry-after']) * 1000);
    expect((await look('a')).status).toBe(200);
    expect(alerts).toMatchObject([{ context: { caller: 'holder:a' } }]);
  });

  test('is of the holder, whichever header names it and whatever is called', async () => {
    const { call } = await startApp({ governor: governorOf(TWO).governor });
    const headers = asTrack({ 'x-track-id': 'a' });
    expect((await call('POST', '/v1/allocate', { headers })).status).toBe(201);
    const named = asTrack({ 'x-track-id': 'other', 'x-instruqt-sandbox-id': 'a' });
    expect((await call('POST', '/v1/sandboxes/s/mark-for-deletion', { headers: named })).status).toBe(200);
    expect((await call('GET', '/v1/sandboxes/s', { headers })).status).toBe(429);
  });

  test('is of each admin token, and no holder’s', async () => {
    const tokens = { track: ['track-token-for-tests'], admin: ['admin-token-for-tests', 'the-second-admin'] };
    const { call } = await startApp({ governor: governorOf(TWO).governor, tokens });
    const stats = async (headers: Record<string, string>) =>
      (await call('GET', '/v1/admin/stats', { headers })).status;
    expect([await stats(asAdmin()), await stats(asAdmin()), await stats(asAdmin())]).toEqual([200, 200, 429]);
    expect(await stats({ authorization: 'Bearer the-second-admin' })).toBe(200);
    expect((await call('GET', '/v1/sandboxes/s', { headers: asTrack() })).status).toBe(200);
  });

  test('counts only what is valid and allowed in', async () => {
    const { governor } = governorOf(TWO);
    const { call } = await startApp({ governor });
    for (let n = 0; n < 5; n++) {
      expect((await call('GET', '/v1/sandboxes/a%20b', { headers: asTrack() })).status).toBe(400);
      expect((await call('GET', '/v1/sandboxes/a', { headers: { 'x-track-id': 'holder-1' } })).status).toBe(
        401,
      );
      expect((await call('GET', '/nope', { headers: asTrack() })).status).toBe(404);
    }
    expect((await call('GET', '/v1/sandboxes/a', { headers: asTrack() })).status).toBe(200);
  });

  test('leaves probes, metrics and docs alone', async () => {
    const { call } = await startApp({
      governor: governorOf({ api_call: { maxActions: 0, windowSeconds: 60 } }).governor,
    });
    for (const path of ['/healthz', '/readyz', '/metrics', '/', '/v1/openapi.json']) {
      expect((await call('GET', path)).status).toBe(200);
    }
  });

  test('comes after the limit of the address, so that another holder buys nothing', async () => {
    const { call } = await startApp({ governor: governorOf({}).governor, rateLimit: { rps: 1, burst: 3 } });
    const codes: unknown[] = [];
    for (let n = 0; n < 4; n++) {
      const headers = asTrack({ 'x-track-id': `holder-${n}` });
      codes.push((await call('GET', '/v1/sandboxes/a', { headers })).json.error?.code);
    }
    expect(codes).toEqual([undefined, undefined, undefined, 'RATE_LIMITED']);
  });

  test('never locks out whoever is to raise it', async () => {
    const { governor } = governorOf({ api_call: { maxActions: 0, windowSeconds: 60 } });
    const { call } = await startApp({ governor });
    expect((await call('GET', '/v1/admin/stats', { headers: asAdmin() })).status).toBe(429);
    const raised = await call('PUT', '/v1/admin/governor/api_call', {
      headers: asAdmin({ 'content-type': 'application/json' }),
      body: '{"max_actions":100}',
    });
    expect(raised.status).toBe(200);
    expect((await call('GET', '/v1/admin/governor', { headers: asAdmin() })).status).toBe(200);
    expect((await call('GET', '/v1/admin/stats', { headers: asAdmin() })).status).toBe(200);
  });

  test('of allocations is for all holders together, and refuses before the pool is asked for anything', async () => {
    const { governor } = governorOf({ allocate: { maxActions: 2, windowSeconds: 60 } });
    const { call, recorded } = await startApp({ governor });
    const statuses: number[] = [];
    for (const holder of ['a', 'b', 'c']) {
      statuses.push(
        (await call('POST', '/v1/allocate', { headers: asTrack({ 'x-track-id': holder }) })).status,
      );
    }
    expect(statuses).toEqual([201, 201, 429]);
    const headers = asTrack({ 'x-track-id': 'c' });
    const refused = await call('POST', '/v1/allocate', { headers });
    expect(refused.json.error).toMatchObject({ code: 'QUOTA_EXCEEDED', details: { resource: 'allocate' } });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
    expect(
      [recorded.of('allocateSandbox'), recorded.of('metrics.allocation')].map(({ length }) => length),
    ).toEqual([2, 2]);
    expect((await call('GET', '/v1/sandboxes/a', { headers })).status, 'nothing else is held up').toBe(200);
  });
});

describe('PUT /v1/admin/governor/{resource}', () => {
  const put = async (path: string, body: unknown) => {
    const app = await startApp();
    const answer = await app.call('PUT', path, {
      headers: asAdmin({ 'content-type': 'application/json' }),
      body: JSON.stringify(body),
    });
    return { ...answer, recorded: app.recorded, logged: app.logged };
  };

  test('sets the limit, the window where it is given, and leaves a line in the log', async () => {
    const answer = await put('/v1/admin/governor/csp_delete', { max_actions: 9, window_seconds: 120 });
    expect(answer.status).toBe(200);
    expect(answer.recorded.of('governor.setLimit')).toEqual([['csp_delete', 9, 120]]);
    const line = await answer.logged(({ action }) => action === 'quota_changed');
    expect(line).toMatchObject({ level: 'warn', by: 'admin-1', resource: 'csp_delete' });
    const unlimited = await put('/v1/admin/governor/allocate', { max_actions: null });
    expect(unlimited.recorded.of('governor.setLimit')).toEqual([['allocate', null, undefined]]);
  });

  test.each([
    [{}, 'max_actions'],
    [{ max_actions: -1 }, 'max_actions'],
    [{ max_actions: 1.5 }, 'max_actions'],
    [{ max_actions: '5' }, 'max_actions'],
    [{ max_actions: 1e12 }, 'max_actions'],
    [{ max_actions: 5, window_seconds: 0 }, 'window_seconds'],
    [{ max_actions: 5, window_seconds: null }, 'window_seconds'],
    [{ max_actions: 5, window_seconds: 1e9 }, 'window_seconds'],
    [{ max_actions: 5, windows: 1 }, 'windows'],
  ])('%o is 400 and names the field', async (body, name) => {
    const { status, json, recorded } = await put('/v1/admin/governor/csp_delete', body);
    expect(status).toBe(400);
    expect(json.error?.details?.fields?.[0]).toMatchObject({ in: 'body', name });
    expect(recorded.of('governor.setLimit')).toEqual([]);
  });

  test('knows the resources there are', async () => {
    const { status, json } = await put('/v1/admin/governor/everything', { max_actions: 1 });
    expect(status).toBe(400);
    expect(json.error?.message).toContain(RESOURCES.join(', '));
  });
});

describeOnFastEngine("a broker's governor", ({ endpoint }) => {
  const rowsOf = async (here: Awaited<ReturnType<typeof startBrokerHere>>) => {
    const { json } = await here.asAdmin('GET', '/v1/admin/governor');
    const rows = json['resources'] as ({ resource: string } & Record<string, unknown>)[];
    return new Map(rows.map((row) => [row.resource, row]));
  };

  test('reports every resource with the limits of the environment', async () => {
    const here = await startBrokerHere(endpoint, {
      SANDBOX_API_LIMIT: '900',
      SANDBOX_API_WINDOW: '30',
      SANDBOX_DATA_EXPORT_LIMIT: '7',
      SANDBOX_ALLOCATE_LIMIT: '50',
      SANDBOX_CSP_DELETE_WINDOW: '60',
    });
    const rows = await rowsOf(here);
    expect([...rows.keys()]).toEqual(RESOURCES);
    expect(rows.get('api_call')).toMatchObject({ max_actions: 900, window_seconds: 30, scope: 'local' });
    expect(rows.get('data_export')).toEqual({
      resource: 'data_export',
      scope: 'global',
      current_actions: 0,
      max_actions: 7,
      window_seconds: 3600,
      denied_count: 0,
      overridden: false,
    });
    expect(rows.get('allocate')).toMatchObject({ max_actions: 50, window_seconds: 60 });
    expect(rows.get('csp_delete')).toMatchObject({ max_actions: 5000, window_seconds: 60 });
  });

  /** A bulk delete that has one stale record to remove: without any it would use nothing up. */
  const bulkDeleteOne = async (here: BrokerHere) => {
    const { client } = createCountingClient(endpoint, here.table);
    const id = `stale-${randomUUID()}`;
    await createSandboxStore(client, 4, randomUUID).writeAll([
      { seen: undefined, next: { ...RECORDS.stale, id } },
    ]);
    client.close();
    return here.asAdmin('POST', '/v1/admin/bulk-delete?status=stale');
  };

  test('shares what cannot be undone over replicas, and 429 says when to come back', async () => {
    const one = await startBrokerHere(endpoint, { SANDBOX_BULK_DELETE_LIMIT: '3' });
    const two = await startBrokerHere(endpoint, {
      DDB_TABLE_NAME: one.table,
      SANDBOX_BULK_DELETE_LIMIT: '3',
    });
    const statuses: number[] = [];
    for (let n = 0; n < 3; n++) {
      for (const each of [one, two]) {
        statuses.push((await bulkDeleteOne(each)).status);
      }
    }
    expect(statuses).toEqual([200, 200, 200, 429, 429, 429]);
    const refused = await bulkDeleteOne(one);
    expect(refused.json.error).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      details: { resource: 'bulk_delete' },
    });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(3_500);
    expect(await one.metric('broker_governor_denied_total{resource="bulk_delete"}')).toBe(2);
    expect((await rowsOf(one)).get('bulk_delete')).toMatchObject({ current_actions: 3, denied_count: 2 });
    expect(await one.metric('broker_alerts_total{task="governor",severity="warning"}')).toBe(1);
  });

  test('takes a limit set at run time on every replica, keeps it over a restart, and takes it back', async () => {
    const one = await startBrokerHere(endpoint);
    const two = await startBrokerHere(endpoint, { DDB_TABLE_NAME: one.table });
    await bulkDeleteOne(one);
    const set = await one.asAdmin('PUT', '/v1/admin/governor/bulk_delete', { max_actions: 1 });
    expect(set.json).toMatchObject({
      max_actions: 1,
      window_seconds: 3600,
      current_actions: 1,
      overridden: true,
    });
    await until(async () => (await rowsOf(two)).get('bulk_delete')?.['max_actions'] === 1, {
      timeoutMs: 15_000,
      what: 'the other replica knows the limit',
    });
    expect((await bulkDeleteOne(two)).status, 'history kept').toBe(429);

    const later = await startBrokerHere(endpoint, { DDB_TABLE_NAME: one.table });
    expect((await rowsOf(later)).get('bulk_delete')).toMatchObject({ max_actions: 1, current_actions: 1 });
    const reset = await later.asAdmin('DELETE', '/v1/admin/governor/bulk_delete');
    expect(reset.json).toMatchObject({ max_actions: 10, overridden: false });
    expect((await bulkDeleteOne(later)).status).toBe(200);
  });

  test('leaves sandboxes for later when the quota of deletes is used up', async () => {
    const here = await startBrokerHere(endpoint, { SANDBOX_CSP_DELETE_LIMIT: '2', CLEANUP_CONCURRENCY: '1' });
    for (let n = 0; n < 3; n++) {
      const { json } = await here.asTrack('POST', '/v1/allocate', `holder-${n}`);
      await here.asTrack('POST', `/v1/sandboxes/${json['sandbox_id']}/mark-for-deletion`, `holder-${n}`);
    }
    const run = await here.asAdmin('POST', '/v1/admin/cleanup');
    expect(run.json).toMatchObject({ status: 'completed', due: 3, recycled: 2, failed: 0, skipped: 1 });
    const { json } = await here.asAdmin('GET', '/v1/admin/sandboxes?status=pending_deletion');
    expect(json['sandboxes']).toMatchObject([{ deletion_retry_count: 0 }]);
  });

  test('lets a thousand students behind one address start at once: none of them is one too many', async () => {
    const here = await startBrokerHere(endpoint, {
      SIMULATED_POOL_SIZE: '20',
      // The address's own limit as it is by default.
      RATE_LIMIT_RPS: '200',
      RATE_LIMIT_BURST: '3000',
    });
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, n) => here.asTrack('POST', '/v1/allocate', `student-${n}`)),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(20);
    // Who gets none is told so, and not that there were too many before.
    expect(new Set(statuses)).toEqual(new Set([201, 409]));
  }, 120_000);
});
