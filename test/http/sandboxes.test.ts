import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../src/domain/errors.ts';
import type { MarkResult } from '../../src/usecases/leases/mark-for-deletion.ts';
import { fakeAppDeps } from '../support/broker/fake-app-deps.ts';
import { asTrack, startApp } from '../support/broker/http-app.ts';

/** An app where giving back ends with `result`, and looking with the same error. */
function startWith(result: Partial<MarkResult> | Error) {
  const { useCases } = fakeAppDeps().deps;
  return startApp({
    useCases: {
      ...useCases,
      markForDeletion: async (input, context) => {
        if (result instanceof Error) throw result;
        return { ...(await useCases.markForDeletion(input, context)), ...result };
      },
      getSandbox: (input, context) =>
        result instanceof Error ? Promise.reject(result) : useCases.getSandbox(input, context),
    },
  });
}

const BAD_IDS = ['%00', 'a%2Fb', 'a%20b', '%C3%BC', 'x'.repeat(129), '%7Bid%7D'];

describe('POST /v1/sandboxes/{id}/mark-for-deletion', () => {
  test('is 200 with id, status and the time of the first mark', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', '/v1/sandboxes/sbx:1@a.b_c-d/mark-for-deletion', {
      headers: asTrack(),
    });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      sandbox_id: 'sbx:1@a.b_c-d',
      status: 'pending_deletion',
      deletion_requested_at: 1_767_225_700,
    });
    expect(recorded.of('markForDeletion')[0]).toMatchObject([
      { sandboxId: 'sbx:1@a.b_c-d', holder: 'holder-1' },
      { actor: 'track', requestId: 'id-1' },
    ]);
  });

  test.each<[Partial<MarkResult> | Error, number, string, string]>([
    [{}, 200, 'success', 'info'],
    [{ repeated: true, status: 'deleted' }, 200, 'repeated', 'info'],
    [new BrokerError('NOT_SANDBOX_OWNER', 'Not yours.'), 403, 'not_owner', 'info'],
    [new BrokerError('SANDBOX_NOT_FOUND', 'No such.'), 404, 'not_found', 'info'],
    [new BrokerError('STORE_UNAVAILABLE', 'Gone.'), 503, 'error', 'error'],
    [new Error('boom'), 500, 'error', 'error'],
  ])('%s is %d, counted and logged as %s', async (result, status, outcome, level) => {
    const { call, recorded, logged } = await startWith(result);
    const answer = await call('POST', '/v1/sandboxes/sbx-1/mark-for-deletion', { headers: asTrack() });
    expect(answer.status).toBe(status);
    expect(recorded.of('metrics.marked')).toEqual([[outcome]]);
    const line = await logged((entry) => entry.action === 'mark_for_deletion' && entry.outcome !== undefined);
    expect(line).toMatchObject({ level, outcome, sandbox_id: 'sbx-1', latency_ms: expect.any(Number) });
  });

  test.each(BAD_IDS)('an id like %s is 400', async (id) => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', `/v1/sandboxes/${id}/mark-for-deletion`, { headers: asTrack() });
    expect(answer.status).toBe(400);
    expect(answer.json.error?.details?.fields?.[0]?.in).toBe('path');
    expect(recorded.of('markForDeletion')).toEqual([]);
  });

  test('without a holder is 400', async () => {
    const { call } = await startApp();
    const headers = { authorization: asTrack()['authorization']! };
    const answer = await call('POST', '/v1/sandboxes/sbx-1/mark-for-deletion', { headers });
    expect(answer.status).toBe(400);
    expect(answer.json.error?.message).toContain('X-Track-ID');
  });

  test('with a body that says something is 400', async () => {
    const { call } = await startApp();
    const headers = asTrack({ 'content-type': 'application/json' });
    const answer = await call('POST', '/v1/sandboxes/sbx-1/mark-for-deletion', {
      headers,
      body: '{"force":true}',
    });
    expect(answer.status).toBe(400);
    expect(answer.json.error?.message).toContain('force');
  });
});

describe('GET /v1/sandboxes/{id}', () => {
  test('is 200 with the record', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack() });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      sandbox_id: 'sbx-1',
      status: 'available',
      created_at: 1_767_225_600,
    });
    expect(recorded.of('getSandbox')[0]?.[0]).toEqual({ sandboxId: 'sbx-1', holder: 'holder-1' });
  });

  test.each<[BrokerError, number]>([
    [new BrokerError('NOT_SANDBOX_OWNER', 'Not yours.'), 403],
    [new BrokerError('SANDBOX_NOT_FOUND', 'No such.'), 404],
    [new BrokerError('STORE_UNAVAILABLE', 'Gone.'), 503],
  ])('%s is %d', async (error, status) => {
    const { call } = await startWith(error);
    const answer = await call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack() });
    expect(answer.status).toBe(status);
    expect(answer.json.error).toMatchObject({ code: error.code, message: error.message });
  });

  test.each(BAD_IDS)('an id like %s is 400', async (id) => {
    const { call } = await startApp();
    expect((await call('GET', `/v1/sandboxes/${id}`, { headers: asTrack() })).status).toBe(400);
  });

  test('HEAD is the same without a body', async () => {
    const { call } = await startApp();
    const answer = await call('HEAD', '/v1/sandboxes/sbx-1', { headers: asTrack() });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect((await call('HEAD', '/v1/sandboxes/sbx-1')).status).toBe(401);
  });
});
