import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../src/domain/errors.ts';
import { fakeAppDeps, fakeLease } from '../support/broker/fake-app-deps.ts';
import { asTrack, startApp } from '../support/broker/http-app.ts';

const json = (more: Record<string, string> = {}) => asTrack({ 'content-type': 'application/json', ...more });

/** An app whose leases are over. */
function startOver() {
  const { useCases } = fakeAppDeps().deps;
  const over = async () => {
    throw new BrokerError('LEASE_OVER', 'over');
  };
  return startApp({ useCases: { ...useCases, extendLease: over, heartbeat: over } });
}

describe('POST /v1/sandboxes/{id}/extend', () => {
  test('gives the lease as it is then, and counts it', async () => {
    const { call, recorded } = await startApp();
    const body = '{"duration_seconds":600,"lease_id":"lease-1"}';
    const answer = await call('POST', '/v1/sandboxes/sbx-1/extend', { headers: json(), body });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      sandbox_id: 'sbx-1',
      name: 'lab-0001',
      external_id: 'ext/1',
      lease_id: 'lease-1',
      fencing_token: 2,
      allocated_at: fakeLease.allocatedAt,
      expires_at: fakeLease.expiresAt,
    });
    expect(recorded.of('extendLease')[0]?.[0]).toMatchObject({
      sandboxId: 'sbx-1',
      durationSeconds: 600,
      leaseId: 'lease-1',
    });
    expect(recorded.of('metrics.leaseExtended')).toEqual([['success']]);
    expect(recorded.of('answers.begin')).toEqual([]);
  });

  test.each([
    ['', 'duration_seconds'],
    ['{}', 'duration_seconds'],
    ['{"duration_seconds":-1}', 'duration_seconds'],
    ['{"duration_seconds":60,"hours":1}', 'hours'],
  ])('the body %j is refused, and the field named', async (body, name) => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', '/v1/sandboxes/sbx-1/extend', { headers: json(), body });
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({ error: { details: { fields: [{ in: 'body', name }] } } });
    expect(recorded.of('extendLease')).toEqual([]);
  });

  test('with an Idempotency-Key it is done once: the key is the holder’s own', async () => {
    const { call, recorded } = await startApp();
    const headers = json({ 'idempotency-key': 'again' });
    const answer = await call('POST', '/v1/sandboxes/sbx-1/extend', {
      headers,
      body: '{"duration_seconds":60}',
    });
    expect(answer.status).toBe(200);
    expect(recorded.of('answers.begin')[0]?.[0]).toMatchObject({
      principal: JSON.stringify(['track', headers['x-track-id'] ?? headers['x-instruqt-sandbox-id']]),
      key: 'again',
      operation: 'POST /v1/sandboxes/:id/extend',
    });
    expect(recorded.of('answers.keep')).toHaveLength(1);
  });

  test('too late is 409 LEASE_OVER, and counted as that', async () => {
    const { call, recorded } = await startOver();
    const options = { headers: json(), body: '{"duration_seconds":60}' };
    const answer = await call('POST', '/v1/sandboxes/sbx-1/extend', options);
    expect(answer.status).toBe(409);
    expect(answer.json).toMatchObject({ error: { code: 'LEASE_OVER' } });
    expect(recorded.of('metrics.leaseExtended')).toEqual([['over']]);
  });
});

describe('POST /v1/sandboxes/{id}/heartbeat', () => {
  test('says when the next one is to come by', async () => {
    const { useCases } = fakeAppDeps().deps;
    const lease = { ...fakeLease, heartbeat: { seconds: 60, by: 1_767_225_700 } };
    const { call, recorded } = await startApp({
      useCases: { ...useCases, heartbeat: async () => lease },
    });
    const answer = await call('POST', '/v1/sandboxes/sbx-1/heartbeat', { headers: asTrack() });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ heartbeat_seconds: 60, heartbeat_by: 1_767_225_700 });
    expect(recorded.of('metrics.heartbeat')).toEqual([['success']]);
  });

  test('too late is 409 LEASE_OVER, counted and logged as that', async () => {
    const { call, recorded } = await startOver();
    const answer = await call('POST', '/v1/sandboxes/sbx-1/heartbeat', { headers: asTrack() });
    expect(answer.status).toBe(409);
    expect(recorded.of('metrics.heartbeat')).toEqual([['over']]);
    expect(recorded.logs.filter(({ action }) => action === 'heartbeat')).toMatchObject([{ outcome: 'over' }]);
  });

  test.each([29, 3601, 60.5, '60'])('a lease with a heartbeat of %j seconds is refused', async (seconds) => {
    const { call } = await startApp();
    const options = { headers: json(), body: JSON.stringify({ heartbeat_seconds: seconds }) };
    const answer = await call('POST', '/v1/allocate', options);
    expect(answer.json).toMatchObject({
      error: { details: { fields: [{ in: 'body', name: 'heartbeat_seconds' }] } },
    });
  });
});

describe('POST /v1/sandboxes/{id}/report', () => {
  const IN_LINE = { ticket: `.-0000000000001-${'0'.repeat(64)}`, position: 1, waiting: 3, etaSeconds: 60 };
  const startReported = (replacement?: object, repeated = false) => {
    const { useCases } = fakeAppDeps().deps;
    const reportSandbox = async () => ({ sandboxId: 'sbx-1', repeated, ...(replacement && { replacement }) });
    return startApp({
      useCases: { ...useCases, reportSandbox: reportSandbox as typeof useCases.reportSandbox },
    });
  };
  const report = (call: Awaited<ReturnType<typeof startApp>>['call'], body: object) =>
    call('POST', '/v1/sandboxes/sbx-1/report', { headers: json(), body: JSON.stringify(body) });

  test('passes on what is wrong, and what is wanted instead', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', '/v1/sandboxes/sbx-1/report', {
      headers: json({ 'x-sandbox-name-prefix': 'lab-' }),
      body: '{"reason":"no network","replace":true,"lease_id":"lease-1"}',
    });
    expect(answer).toMatchObject({ status: 200, json: { sandbox_id: 'sbx-1', status: 'quarantined' } });
    expect(recorded.of('reportSandbox')[0]?.[0]).toMatchObject({
      sandboxId: 'sbx-1',
      reason: 'no network',
      replace: true,
      leaseId: 'lease-1',
      namePrefix: 'lab-',
    });
    expect(recorded.of('metrics.reported')).toEqual([['success']]);
  });

  test('tells of the other sandbox, or of the place', async () => {
    const served = await startReported({ type: 'served', lease: fakeLease }, true);
    expect(await report(served.call, { reason: 'x' })).toMatchObject({
      status: 200,
      json: { status: 'quarantined', replacement: { sandbox_id: 'sbx-1', lease_id: 'lease-1' } },
    });
    expect(served.recorded.of('metrics.reported')).toEqual([['repeated']]);
    const waiting = await startReported({ type: 'waiting', inLine: IN_LINE });
    expect(await report(waiting.call, { reason: 'x' })).toMatchObject({
      status: 202,
      headers: { 'retry-after': '1' },
      json: { place: { status: 'waiting', ticket_id: IN_LINE.ticket, position: 1, waiting: 3 } },
    });
  });

  test.each([
    [{}, 'reason'],
    [{ reason: '' }, 'reason'],
    [{ reason: 'x', replace: 'yes' }, 'replace'],
    [{ reason: 'x', count: 2 }, 'count'],
  ])('the body %j is refused, and the field named', async (body, name) => {
    const { call, recorded } = await startApp();
    expect(await report(call, body)).toMatchObject({
      status: 400,
      json: { error: { details: { fields: [{ in: 'body', name }] } } },
    });
    expect(recorded.of('reportSandbox')).toEqual([]);
  });
});
