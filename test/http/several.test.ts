import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../src/domain/errors.ts';
import { fakeAppDeps, fakeLease } from '../support/broker/fake-app-deps.ts';
import { asTrack, startApp } from '../support/broker/http-app.ts';

const json = (more: Record<string, string> = {}) => asTrack({ 'content-type': 'application/json', ...more });

describe('POST /v1/allocate with count', () => {
  test('gives so many leases, and counts one call', async () => {
    const { call, recorded } = await startApp();
    const headers = json({ 'idempotency-key': 'build-7' });
    const answer = await call('POST', '/v1/allocate', { headers, body: '{"count":2}' });
    expect(answer.status).toBe(201);
    expect(answer.json).toMatchObject({
      count: 2,
      leases: [
        { sandbox_id: 'sbx-1', lease_id: 'lease-1', expires_at: fakeLease.expiresAt },
        { sandbox_id: 'sbx-2', lease_id: 'lease-2' },
      ],
    });
    expect(recorded.of('allocateSeveral')[0]?.[0]).toMatchObject({ count: 2, idempotencyKey: 'build-7' });
    expect(recorded.of('metrics.allocation')).toHaveLength(1);
    expect(recorded.of('allocateSandbox')).toEqual([]);
    const logged = recorded.logs.filter(({ action }) => action === 'allocate');
    expect(logged).toMatchObject([{ outcome: 'success', count: 2, sandbox_ids: ['sbx-1', 'sbx-2'] }]);
  });

  test('says again what the key has, and which of it is over', async () => {
    const { useCases } = fakeAppDeps().deps;
    const leases = [{ lease: fakeLease, leaseOver: true as const }, { lease: fakeLease }];
    const { call } = await startApp({
      useCases: { ...useCases, allocateSeveral: async () => ({ leases, replayed: true, conflicts: 0 }) },
    });
    const answer = await call('POST', '/v1/allocate', { headers: json(), body: '{"count":2}' });
    expect(answer).toMatchObject({ status: 200, headers: { 'idempotency-replayed': 'true' } });
    expect(answer.json).toMatchObject({ leases: [{ lease_over: true }, {}] });
    expect((answer.json['leases'] as object[])[1]).not.toHaveProperty('lease_over');
  });

  test.each([1, 17, 2.5, '2', null])('is refused for %j, and the field named', async (count) => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', '/v1/allocate', { headers: json(), body: JSON.stringify({ count }) });
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({
      error: {
        details: { fields: [{ in: 'body', name: 'count', problem: expect.stringMatching('2 to 16') }] },
      },
    });
    expect(recorded.of('allocateSeveral')).toEqual([]);
  });

  test.each<[object, Record<string, string>]>([
    [{ count: 2, wait_seconds: 0 }, {}],
    [{ count: 2 }, { prefer: 'wait=30' }],
  ])('is not waited for in line: %j %j', async (body, headers) => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', '/v1/allocate', { headers: json(headers), body: JSON.stringify(body) });
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({
      error: { code: 'INVALID_REQUEST', details: { fields: [{ in: 'body', name: 'count' }] } },
    });
    expect(recorded.calls.filter(([name]) => name.startsWith('allocate'))).toEqual([]);
  });
});

describe('POST /v1/mark-for-deletion', () => {
  test('gives back all of a key, and counts each', async () => {
    const { call, recorded } = await startApp();
    const headers = json({ 'idempotency-key': 'build-7' });
    const answer = await call('POST', '/v1/mark-for-deletion', { headers });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      count: 2,
      marked: ['sbx-1', 'sbx-2'].map((sandbox_id) => ({
        sandbox_id,
        status: 'pending_deletion',
        deletion_requested_at: 1_767_225_700,
      })),
    });
    expect(recorded.of('markAll')[0]?.[0]).toMatchObject({ idempotencyKey: 'build-7' });
    expect(recorded.of('metrics.marked')).toEqual([['success'], ['success']]);
  });

  test('is 404 where the key has nothing', async () => {
    const { useCases } = fakeAppDeps().deps;
    const markAll = async () => {
      throw new BrokerError('SANDBOX_NOT_FOUND', 'none');
    };
    const { call, recorded } = await startApp({ useCases: { ...useCases, markAll } });
    const answer = await call('POST', '/v1/mark-for-deletion', { headers: asTrack() });
    expect(answer).toMatchObject({ status: 404, json: { error: { code: 'SANDBOX_NOT_FOUND' } } });
    expect(recorded.of('metrics.marked')).toEqual([['not_found']]);
  });
});
