import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../../../src/domain/errors.ts';
import {
  availableSandbox,
  fakeAppDeps,
  leasedSandbox,
  START_MS,
} from '../../../support/broker/fake-app-deps.ts';
import { asAdmin, startApp } from '../../../support/broker/http-app.ts';

const RECORD = {
  sandbox_id: 'sbx-1',
  name: 'lab-0001',
  external_id: 'ext/1',
  status: 'available',
  created_at: 1_767_225_600,
  updated_at: 1_767_225_601,
};

describe('GET /v1/admin/sandboxes', () => {
  test('is a page with a count, and no cursor on the last one', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('GET', '/v1/admin/sandboxes', { headers: asAdmin() });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ sandboxes: [RECORD], count: 1 });
    expect(recorded.of('listSandboxes')[0]).toMatchObject([{ limit: 50 }, { actor: 'admin' }]);
  });

  test('passes on what is asked for, and hands out the cursor', async () => {
    const { useCases } = fakeAppDeps().deps;
    const inputs: unknown[] = [];
    const { call } = await startApp({
      useCases: {
        ...useCases,
        listSandboxes: async (input) => {
          inputs.push(input);
          return { sandboxes: [], cursor: 'next' };
        },
      },
    });
    const query = 'status=stale&prefix=%C3%9Cbung%20-&limit=100&cursor=abc%3D';
    const answer = await call('GET', `/v1/admin/sandboxes?${query}`, { headers: asAdmin() });
    expect(answer.json).toEqual({ sandboxes: [], count: 0, cursor: 'next' });
    expect(inputs).toEqual([{ status: 'stale', prefix: 'Übung -', limit: 100, cursor: 'abc=' }]);
  });

  test.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=', 'limit'],
    ['limit=0x10', 'limit'],
    ['limit=ten', 'limit'],
    ['status=leased', 'status'],
    ['status=', 'status'],
    ['prefix=', 'prefix'],
    ['prefix=a%00b', 'prefix'],
    [`prefix=${'x'.repeat(129)}`, 'prefix'],
    ['limti=5', 'limti'],
    ['status=stale&status=stale', 'status'],
    ['__proto__=1', '__proto__'],
    [`cursor=${'x'.repeat(2049)}`, 'cursor'],
  ])('%s is 400 and names the parameter', async (query, name) => {
    const { call, recorded } = await startApp();
    const { status, json } = await call('GET', `/v1/admin/sandboxes?${query}`, { headers: asAdmin() });
    expect(status).toBe(400);
    expect(json.error?.code).toBe('INVALID_REQUEST');
    expect(json.error?.message).toContain(name);
    expect(json.error?.details?.fields?.[0]).toMatchObject({ in: 'query', name });
    expect(recorded.of('listSandboxes')).toEqual([]);
  });

  test('an unknown parameter is told which ones there are', async () => {
    const { call } = await startApp();
    const { json } = await call('GET', '/v1/admin/sandboxes?limti=5', { headers: asAdmin() });
    expect(json.error?.message).toBe(
      'Query parameter limti is not known here: status, prefix, holder, holder_prefix, find, lab, limit, cursor are.',
    );
  });

  test('a cursor from elsewhere is 400', async () => {
    const { useCases } = fakeAppDeps().deps;
    const { call } = await startApp({
      useCases: {
        ...useCases,
        listSandboxes: () => Promise.reject(new BrokerError('INVALID_CURSOR', 'Not from this query.')),
      },
    });
    const { status, json } = await call('GET', '/v1/admin/sandboxes?cursor=%F0%9F%98%80', {
      headers: asAdmin(),
    });
    expect([status, json.error?.code]).toEqual([400, 'INVALID_CURSOR']);
  });
});

describe('GET /v1/admin/sandboxes/{id}', () => {
  test('is the record with its history', async () => {
    const { useCases } = fakeAppDeps().deps;
    const { call } = await startApp({
      useCases: {
        ...useCases,
        inspectSandbox: async (sandboxId) => ({
          sandbox: { ...availableSandbox, id: sandboxId },
          history: [
            {
              sandboxId,
              generation: 1,
              actor: 'background_sync',
              action: 'sync_new',
              to: 'available',
              atMs: START_MS,
              requestId: 'job-sync-1',
              correlationId: 'job-sync-1',
            },
          ],
        }),
      },
    });
    const answer = await call('GET', '/v1/admin/sandboxes/sbx-9', { headers: asAdmin() });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      ...RECORD,
      sandbox_id: 'sbx-9',
      history: [
        {
          generation: 1,
          actor: 'background_sync',
          action: 'sync_new',
          to: 'available',
          at: 1_767_225_600,
          request_id: 'job-sync-1',
          correlation_id: 'job-sync-1',
        },
      ],
    });
  });

  test('a bad id is 400, an unknown parameter too', async () => {
    const { call } = await startApp();
    expect((await call('GET', '/v1/admin/sandboxes/a%20b', { headers: asAdmin() })).status).toBe(400);
    expect((await call('GET', '/v1/admin/sandboxes/a?full=1', { headers: asAdmin() })).status).toBe(400);
  });
});

describe('GET /v1/admin/stats', () => {
  test('is the last known counts and their age', async () => {
    const { call } = await startApp();
    const answer = await call('GET', '/v1/admin/stats', { headers: asAdmin() });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      total: 15,
      available: 5,
      allocated: 4,
      pending_deletion: 3,
      deletion_failed: 2,
      stale: 1,
      cooling: 0,
      quarantined: 0,
      as_of: 1_767_225_600,
    });
  });

  test('is 503 before the first count', async () => {
    const { useCases } = fakeAppDeps().deps;
    const { call } = await startApp({ useCases: { ...useCases, poolStats: async () => undefined } });
    const answer = await call('GET', '/v1/admin/stats', { headers: asAdmin() });
    expect(answer.status).toBe(503);
    expect(answer.json.error).toMatchObject({ code: 'STORE_UNAVAILABLE', retry_after: 1 });
    expect(answer.headers['retry-after']).toBe('1');
  });
});

describe('runs', () => {
  test.each<[string, string, object, object]>([
    ['sync', 'sync', { force: false }, { created: 2, stale: 0 }],
    ['sync?force=true', 'sync', { force: true }, { created: 2, stale: 0 }],
    ['sync?force=false', 'sync', { force: false }, { created: 2, stale: 0 }],
    ['cleanup', 'cleanup', {}, { deleted: 2 }],
    ['expire', 'expire', {}, { expired: 1 }],
    ['auto-delete-stale', 'purge', { gracePeriodHours: 24 }, { purged: 1 }],
    ['auto-delete-stale?grace_period_hours=0', 'purge', { gracePeriodHours: 0 }, { purged: 1 }],
    ['auto-delete-stale?grace_period_hours=0.25', 'purge', { gracePeriodHours: 0.25 }, { purged: 1 }],
    ['auto-delete-stale?grace_period_hours=8760', 'purge', { gracePeriodHours: 8760 }, { purged: 1 }],
    ['bulk-delete?status=stale', 'bulkDelete', { status: 'stale' }, { deleted: 3, skipped: 1 }],
    [
      'bulk-delete?status=deletion_failed',
      'bulkDelete',
      { status: 'deletion_failed' },
      { deleted: 3, skipped: 1 },
    ],
  ])('POST /v1/admin/%s is 200 with what was done', async (path, name, options, counts) => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', `/v1/admin/${path}`, { headers: asAdmin() });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ status: 'completed', ...counts, duration_ms: expect.any(Number) });
    expect(recorded.of(name)[0]).toMatchObject([options, { actor: 'admin', requestId: 'id-1' }]);
  });

  test.each([
    ['sync?force=yes', 'force'],
    ['sync?force=', 'force'],
    ['sync?forced=true', 'forced'],
    ['sync?force=true&force=true', 'force'],
    ['cleanup?dry_run=true', 'dry_run'],
    ['expire?x=', 'x'],
    ['auto-delete-stale?grace_period_hours=-1', 'grace_period_hours'],
    ['auto-delete-stale?grace_period_hours=8761', 'grace_period_hours'],
    ['auto-delete-stale?grace_period_hours=NaN', 'grace_period_hours'],
    ['auto-delete-stale?grace_period_hours=1e3', 'grace_period_hours'],
    ['auto-delete-stale?grace_period=1', 'grace_period'],
  ])('POST /v1/admin/%s is 400 and names the parameter', async (path, name) => {
    const { call, recorded } = await startApp();
    const { status, json } = await call('POST', `/v1/admin/${path}`, { headers: asAdmin() });
    expect(status).toBe(400);
    expect(json.error?.details?.fields?.[0]).toMatchObject({ in: 'query', name });
    expect(recorded.calls.filter(([called]) => !called.startsWith('metrics.'))).toEqual([]);
  });

  test('a run under way is 409 and says when to come back', async () => {
    const error = new BrokerError('ALREADY_RUNNING', 'Under way.', { retryAfterSeconds: 30 });
    const { deps } = fakeAppDeps();
    const { call } = await startApp({ runs: { ...deps.runs, sync: () => Promise.reject(error) } });
    const answer = await call('POST', '/v1/admin/sync', { headers: asAdmin() });
    expect([answer.status, answer.headers['retry-after']]).toEqual([409, '30']);
  });

  test('a provider that does not answer is 502', async () => {
    const error = new BrokerError('PROVIDER_UNAVAILABLE', 'No answer.');
    const { deps } = fakeAppDeps();
    const { call } = await startApp({ runs: { ...deps.runs, sync: () => Promise.reject(error) } });
    const answer = await call('POST', '/v1/admin/sync', { headers: asAdmin() });
    expect([answer.status, answer.json.error?.code]).toEqual([502, 'PROVIDER_UNAVAILABLE']);
  });

  test('no count can pass for the status', async () => {
    const { deps } = fakeAppDeps();
    const cleanup = async () => ({ counts: { status: 0, duration_ms: 0, deleted: 1 }, durationMs: 3 });
    const { call } = await startApp({ runs: { ...deps.runs, cleanup } });
    const answer = await call('POST', '/v1/admin/cleanup', { headers: asAdmin() });
    expect(answer.json).toEqual({ status: 'completed', deleted: 1, duration_ms: 3 });
  });

  test.each([
    ['a sync that did not believe the listing', 'sync', { stale: 0, stale_refused: 6 }, 'refused'],
    ['a sync some of whose changes were not written', 'sync', { created: 3, failed: 1 }, 'partial'],
    ['a cleanup in which deletes failed', 'cleanup', { deleted: 34, failed: 6 }, 'partial'],
  ] as const)('%s is no success', async (_name, name, counts, status) => {
    const { deps } = fakeAppDeps();
    const { call } = await startApp({
      runs: { ...deps.runs, [name]: async () => ({ counts, durationMs: 3 }) },
    });
    const answer = await call('POST', `/v1/admin/${name}`, { headers: asAdmin() });
    expect(answer.json).toEqual({ status, ...counts, duration_ms: 3 });
  });
});

describe("an operator's hand on one sandbox", () => {
  test.each([
    ['release', 'releaseSandbox'],
    ['retry-deletion', 'retryDeletion'],
    ['restore', 'restoreSandbox'],
  ])('POST /v1/admin/sandboxes/{id}/%s is 200 with the record', async (path, name) => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', `/v1/admin/sandboxes/sbx-1/${path}`, { headers: asAdmin() });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual(RECORD);
    expect(recorded.of(name)[0]).toMatchObject(['sbx-1', { actor: 'admin' }, undefined]);
    const bound = `/v1/admin/sandboxes/sbx-1/${path}?lease_id=lease-1`;
    await call('POST', bound, { headers: asAdmin() });
    expect(recorded.of(name)[1]).toMatchObject(['sbx-1', {}, 'lease-1']);
  });

  test('POST /v1/admin/sandboxes/{id}/quarantine passes on why, and whether the lease ends', async () => {
    const { call, recorded } = await startApp();
    const path = '/v1/admin/sandboxes/sbx-1/quarantine';
    const ask = (query: string, body: object) =>
      call('POST', `${path}${query}`, {
        headers: { ...asAdmin(), 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect(await ask('', { reason: 'disk errors' })).toMatchObject({ status: 200, json: RECORD });
    await ask('?lease_id=lease-1', { reason: 'keys leaked', end_lease: true });
    expect(recorded.of('quarantineSandbox').map(([input]) => input)).toEqual([
      { sandboxId: 'sbx-1', reason: 'disk errors', endLease: false, leaseId: undefined },
      { sandboxId: 'sbx-1', reason: 'keys leaked', endLease: true, leaseId: 'lease-1' },
    ]);
    for (const [body, name] of [
      [{}, 'reason'],
      [{ reason: '' }, 'reason'],
      [{ reason: 'a\nb' }, 'reason'],
      [{ reason: 'x'.repeat(129) }, 'reason'],
      [{ reason: 'x', end_lease: 'yes' }, 'end_lease'],
      [{ reason: 'x', endLease: true }, 'endLease'],
    ] as const) {
      const { status, json } = await ask('', body);
      expect([status, json.error?.details?.fields?.[0]?.name]).toEqual([400, name]);
    }
  });

  test('POST /v1/admin/sandboxes/{id}/extend passes on for how long, and of which lease', async () => {
    const { call, recorded } = await startApp();
    const path = '/v1/admin/sandboxes/sbx-1/extend';
    const ask = (query: string, body: object) =>
      call('POST', `${path}${query}`, {
        headers: { ...asAdmin(), 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect(await ask('?lease_id=lease-1', { duration_seconds: 3_600 })).toMatchObject({
      status: 200,
      json: { status: 'allocated', expires_at: leasedSandbox.lease.expiresAt },
    });
    expect(recorded.of('extendForHolder').map(([input]) => input)).toEqual([
      { sandboxId: 'sbx-1', durationSeconds: 3_600, leaseId: 'lease-1' },
    ]);
    for (const [body, name] of [
      [{}, 'duration_seconds'],
      [{ duration_seconds: 0 }, 'duration_seconds'],
      [{ duration_seconds: 60, lease_id: 'lease-1' }, 'lease_id'],
    ] as const) {
      const { status, json } = await ask('', body);
      expect([status, json.error?.details?.fields?.[0]?.name]).toEqual([400, name]);
    }
  });

  test('a status in which it makes no sense is 409 with the status', async () => {
    const { useCases } = fakeAppDeps().deps;
    const error = new BrokerError('INVALID_STATE', 'Not leased.', { details: { status: 'available' } });
    const { call } = await startApp({
      useCases: { ...useCases, releaseSandbox: () => Promise.reject(error) },
    });
    const answer = await call('POST', '/v1/admin/sandboxes/sbx-1/release', { headers: asAdmin() });
    expect(answer.status).toBe(409);
    expect(answer.json.error).toMatchObject({ code: 'INVALID_STATE', details: { status: 'available' } });
  });
});
