import { describe, expect, test } from 'vitest';
import { START_MS } from '../../../support/broker/fake-app-deps.ts';
import { asAdmin, asTrack, startApp } from '../../../support/broker/http-app.ts';

const START = START_MS / 1000;
const FRESH = { state: 'closed', since: START, failures: 0, threshold: 10, shared: false };
const json = (body: unknown) => ({
  headers: asAdmin({ 'content-type': 'application/json' }),
  body: JSON.stringify(body),
});

describe('GET /v1/admin/breakers', () => {
  test('shows every breaker', async () => {
    const { call } = await startApp();
    const answer = await call('GET', '/v1/admin/breakers', { headers: asAdmin() });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      breakers: ['csp_list', 'csp_delete', 'webhook'].map((name) => ({ name, ...FRESH })),
    });
  });

  test('is for operators', async () => {
    const { call } = await startApp();
    expect((await call('GET', '/v1/admin/breakers')).status).toBe(401);
    expect((await call('GET', '/v1/admin/breakers', { headers: asTrack() })).status).toBe(403);
  });
});

describe('POST /v1/admin/breakers/{name}/override', () => {
  const path = '/v1/admin/breakers/csp_delete/override';

  test('holds the breaker so for as long as the body says, and then it is what it was', async () => {
    const { call, recorded } = await startApp();
    const answer = await call('POST', path, json({ state: 'open', duration_seconds: 60 }));
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      name: 'csp_delete',
      ...FRESH,
      state: 'open',
      override: { state: 'open', until: START + 60 },
    });
    recorded.clock.advance(60_000);
    const later = await call('GET', '/v1/admin/breakers', { headers: asAdmin() });
    expect(later.json.breakers).toContainEqual({ name: 'csp_delete', ...FRESH });
  });

  test('tells the log who did it', async () => {
    const { call, logged } = await startApp();
    await call('POST', path, json({ state: 'closed', duration_seconds: 1 }));
    expect(await logged(({ action }) => action === 'breaker_changed')).toMatchObject({
      level: 'warn',
      breaker: 'csp_delete',
      state: 'closed',
    });
  });

  test.each<[unknown, string]>([
    [{ duration_seconds: 60 }, 'state'],
    [{ state: 'half_open', duration_seconds: 60 }, 'state'],
    [{ state: 'open' }, 'duration_seconds'],
    [{ state: 'open', duration_seconds: 0 }, 'duration_seconds'],
    [{ state: 'open', duration_seconds: 1.5 }, 'duration_seconds'],
    [{ state: 'open', duration_seconds: 86_401 }, 'duration_seconds'],
    [{ state: 'open', duration_seconds: '60' }, 'duration_seconds'],
    [{ state: 'open', duration_seconds: 60, for: 'ever' }, 'for'],
  ])('%o is 400 and names the field', async (body, name) => {
    const { call } = await startApp();
    const { status, json: answer } = await call('POST', path, json(body));
    expect(status).toBe(400);
    expect(answer.error?.details?.fields?.[0]).toMatchObject({ in: 'body', name });
  });

  test('without a body is 400', async () => {
    const { call } = await startApp();
    expect((await call('POST', path, { headers: asAdmin() })).status).toBe(400);
  });

  test('of a breaker that is none is 400 and names those that are', async () => {
    const { call } = await startApp();
    const answer = await call(
      'POST',
      '/v1/admin/breakers/other/override',
      json({ state: 'open', duration_seconds: 60 }),
    );
    expect(answer.status).toBe(400);
    expect(answer.json.error?.message).toContain('csp_list, csp_delete, webhook');
  });
});

test('POST /v1/admin/breakers/{name}/reset forgets failures and what an operator said', async () => {
  const { call } = await startApp();
  await call('POST', '/v1/admin/breakers/webhook/override', json({ state: 'open', duration_seconds: 60 }));
  const answer = await call('POST', '/v1/admin/breakers/webhook/reset', { headers: asAdmin() });
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({ name: 'webhook', ...FRESH });
});
