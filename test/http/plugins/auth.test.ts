import { describe, expect, test } from 'vitest';
import { createAuth } from '../../../src/http/plugins/auth.ts';
import { ADMIN_TOKEN, TICKET, TRACK_TOKEN } from '../../support/broker/fake-app-deps.ts';
import { asAdmin, asTrack, startApp } from '../../support/broker/http-app.ts';

const TRACK_ROUTES = [
  ['POST', '/v1/allocate'],
  ['POST', '/v1/mark-for-deletion'],
  ['POST', '/v1/sandboxes/sbx-1/mark-for-deletion'],
  ['POST', '/v1/sandboxes/sbx-1/extend'],
  ['POST', '/v1/sandboxes/sbx-1/heartbeat'],
  ['POST', '/v1/sandboxes/sbx-1/report'],
  ['GET', '/v1/sandboxes/sbx-1'],
  ['GET', `/v1/line/${TICKET}`],
  ['DELETE', '/v1/line'],
  ['DELETE', `/v1/line/${TICKET}`],
] as const;
const ADMIN_ROUTES = [
  ['GET', '/v1/admin/sandboxes'],
  ['GET', '/v1/admin/sandboxes/sbx-1'],
  ['GET', '/v1/admin/stats'],
  ['POST', '/v1/admin/sync'],
  ['POST', '/v1/admin/cleanup'],
  ['POST', '/v1/admin/expire'],
  ['POST', '/v1/admin/auto-delete-stale'],
  ['POST', '/v1/admin/jobs'],
  ['GET', '/v1/admin/jobs'],
  ['GET', '/v1/admin/jobs/job-1'],
  ['GET', '/v1/admin/governor'],
  ['PUT', '/v1/admin/governor/api_call'],
  ['DELETE', '/v1/admin/governor/api_call'],
  ['GET', '/v1/admin/dry-run/log'],
  ['GET', '/v1/admin/alerts'],
  ['GET', '/v1/admin/retries'],
  ['GET', '/v1/admin/breakers'],
  ['POST', '/v1/admin/breakers/webhook/override'],
  ['POST', '/v1/admin/breakers/webhook/reset'],
  ['GET', '/v1/admin/status'],
  ['GET', '/v1/admin/readiness'],
  ['GET', '/v1/admin/runtime'],
  ['GET', '/v1/admin/heartbeats'],
  ['GET', '/v1/admin/metrics-guard'],
  ['GET', '/v1/admin/session'],
  ['GET', '/v1/admin/history'],
  ['GET', '/v1/admin/export'],
  ['GET', '/v1/admin/effects'],
  ['GET', '/v1/admin/effects/sandbox_delete'],
  ['GET', '/v1/admin/idempotency'],
  ['GET', '/v1/admin/line'],
  ['DELETE', `/v1/admin/line/${TICKET}`],
  ['POST', '/v1/admin/bulk-delete?status=stale'],
  ['POST', '/v1/admin/sandboxes/sbx-1/release'],
  ['POST', '/v1/admin/sandboxes/sbx-1/retry-deletion'],
  ['POST', '/v1/admin/sandboxes/sbx-1/quarantine'],
  ['POST', '/v1/admin/sandboxes/sbx-1/extend'],
  ['POST', '/v1/admin/sandboxes/sbx-1/restore'],
  ['POST', '/v1/admin/retry-deletions'],
  ['POST', '/v1/admin/release?all=true'],
  ['GET', '/v1/admin/sandbox-count'],
] as const;

/** For routes that have nothing to do without one. */
const BODIES: Readonly<Record<string, string>> = {
  '/v1/sandboxes/sbx-1/report': '{"reason":"disk errors"}',
  '/v1/sandboxes/sbx-1/extend': '{"duration_seconds":60}',
  '/v1/admin/jobs': '{"type":"sync"}',
  '/v1/admin/sandboxes/sbx-1/quarantine': '{"reason":"disk errors"}',
  '/v1/admin/sandboxes/sbx-1/extend': '{"duration_seconds":3600}',
  '/v1/admin/governor/api_call': '{"max_actions":5}',
  '/v1/admin/breakers/webhook/override': '{"state":"open","duration_seconds":5}',
};

test('the lists here are all the routes that need a token', async () => {
  const { app } = await startApp();
  const open = /^\/(healthz|readyz|metrics|v1\/openapi\.json|v1\/docs.*|console.*)?$/;
  // It has no end: test/console/stream.test.ts opens it.
  const isElsewhere = (url: string) => open.test(url) || url === '/v1/admin/stream';
  const guarded = app.knownRoutes.filter(({ method, url }) => method !== 'HEAD' && !isElsewhere(url));
  const nameOf = ({ method, url }: { method: string; url: string }) => `${method} ${url}`;
  const listed = [...TRACK_ROUTES, ...ADMIN_ROUTES].map(([method, path]) => {
    const [url = ''] = path.split('?');
    const isMeant = (of: string) => new RegExp(`^${of.replaceAll(/:\w+/g, '[^/]+')}$`).test(url);
    return nameOf(guarded.find((each) => each.method === method && isMeant(each.url)) ?? { method, url });
  });
  expect(listed.sort()).toEqual(guarded.map(nameOf).sort());
});

describe.each([...TRACK_ROUTES, ...ADMIN_ROUTES])('%s %s', (method, path) => {
  const isAdminRoute = path.startsWith('/v1/admin');

  test('without a token is 401 and says which scheme', async () => {
    const { call } = await startApp();
    const answer = await call(method, path, { headers: { 'x-track-id': 'holder-1' } });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(answer.json.error?.code).toBe('UNAUTHORIZED');
  });

  test('with a wrong token is 401', async () => {
    const { call, recorded } = await startApp();
    const answer = await call(method, path, { headers: asTrack({ authorization: 'Bearer wrong' }) });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(recorded.calls.every(([name]) => name.startsWith('metrics.'))).toBe(true);
  });

  test("with the other role's token is 403", async () => {
    const { call, recorded } = await startApp();
    const headers = isAdminRoute ? asTrack() : asAdmin({ 'x-track-id': 'holder-1' });
    const answer = await call(method, path, { headers });
    expect(answer.status).toBe(403);
    expect(answer.json.error?.code).toBe('FORBIDDEN');
    expect(recorded.calls.every(([name]) => name.startsWith('metrics.'))).toBe(true);
  });

  test("with its role's token is let in", async () => {
    const { call } = await startApp();
    const body = BODIES[path];
    const headers = {
      ...(isAdminRoute ? asAdmin() : asTrack()),
      ...(body && { 'content-type': 'application/json' }),
    };
    const answer = await call(method, path, { headers, ...(body && { body }) });
    expect(answer.status).toBeLessThan(300);
  });
});

describe("a viewer's token", () => {
  const viewer = { authorization: 'Bearer viewer-token-for-tests' };
  const tokens = { track: [TRACK_TOKEN], admin: [ADMIN_TOKEN], viewer: ['viewer-token-for-tests'] };

  test.each(ADMIN_ROUTES)('reads and nothing else: %s %s', async (method, path) => {
    const { call, recorded } = await startApp({ tokens });
    const body = BODIES[path];
    const headers = { ...viewer, ...(body && { 'content-type': 'application/json' }) };
    const answer = await call(method, path, { headers, ...(body && { body }) });
    if (method === 'GET') {
      expect(answer.status).toBe(200);
    } else {
      expect([answer.status, answer.json.error?.code]).toEqual([403, 'FORBIDDEN']);
      expect(recorded.calls.every(([name]) => name.startsWith('metrics.'))).toBe(true);
    }
  });

  test('is rationed like any operator’s', async () => {
    const { call, recorded } = await startApp({ tokens });
    await call('GET', '/v1/admin/stats', { headers: viewer });
    expect(recorded.of('governor.take')).toEqual([['api_call', 'viewer-1']]);
  });

  test.each(TRACK_ROUTES)('does not open %s %s', async (method, path) => {
    const { call } = await startApp({ tokens });
    expect((await call(method, path, { headers: { ...viewer, 'x-track-id': 'me' } })).status).toBe(403);
  });
});

describe('a token', () => {
  test.each([
    ['the scheme in lower case', `bearer ${TRACK_TOKEN}`, 201],
    ['the scheme in upper case', `BEARER ${TRACK_TOKEN}`, 201],
    ['two spaces', `Bearer  ${TRACK_TOKEN}`, 201],
    ['another scheme', `Basic ${TRACK_TOKEN}`, 401],
    ['no scheme', TRACK_TOKEN, 401],
    ['the scheme alone', 'Bearer', 401],
    ['a beginning of it', `Bearer ${TRACK_TOKEN.slice(0, -1)}`, 401],
    ['more than it', `Bearer ${TRACK_TOKEN}x`, 401],
    ['two of them', `Bearer ${TRACK_TOKEN} ${TRACK_TOKEN}`, 401],
    ['a comma behind it', `Bearer ${TRACK_TOKEN},`, 401],
    ['other letter case', `Bearer ${TRACK_TOKEN.toUpperCase()}`, 401],
    ['an empty header', '', 401],
  ])('%s', async (_name, authorization, status) => {
    const { call } = await startApp();
    expect((await call('POST', '/v1/allocate', { headers: asTrack({ authorization }) })).status).toBe(status);
  });

  test('may be one of several, so that it can be replaced without a gap', async () => {
    const { call } = await startApp({ tokens: { track: ['old-token', 'new-token'], admin: [ADMIN_TOKEN] } });
    for (const token of ['old-token', 'new-token']) {
      const answer = await call('POST', '/v1/allocate', {
        headers: asTrack({ authorization: `Bearer ${token}` }),
      });
      expect(answer.status).toBe(201);
    }
  });

  test('says who it was: in the request’s line, and where there are several in histories and jobs, too', async () => {
    const tokens = { track: [TRACK_TOKEN], admin: [ADMIN_TOKEN, 'second-admin-token'] };
    const { call, recorded, logged } = await startApp({ tokens });
    const second = { authorization: 'Bearer second-admin-token' };
    await call('POST', '/v1/admin/sandboxes/sbx-1/release', { headers: second });
    await call('POST', '/v1/admin/jobs', {
      headers: { ...second, 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'sync' }),
    });
    await call('POST', '/v1/allocate', { headers: asTrack() });
    const actors = ['releaseSandbox', 'submitJob', 'allocateSandbox'].map(
      (name) => recorded.of(name)[0]?.[1],
    );
    expect(actors).toMatchObject([{ actor: 'admin-2' }, { actor: 'admin-2' }, { actor: 'track' }]);
    const lineOf = (endpoint: string) => logged((line) => line['endpoint'] === endpoint);
    expect(await lineOf('/v1/admin/jobs')).toMatchObject({ caller: 'admin-2' });
    expect(await lineOf('/v1/allocate')).toMatchObject({ caller: 'track-1' });
    expect(JSON.stringify(recorded.logs)).not.toContain('second-admin-token');
  });

  test('may have letters beyond ASCII', async () => {
    const { call } = await startApp({ tokens: { track: ['gehëim'], admin: [ADMIN_TOKEN] } });
    const authorization = `Bearer ${Buffer.from('gehëim').toString('latin1')}`;
    expect((await call('POST', '/v1/allocate', { headers: asTrack({ authorization }) })).status).toBe(201);
  });

  test('never stands in a log line, right or wrong', async () => {
    const { call, recorded, logged } = await startApp();
    await call('POST', '/v1/allocate', { headers: asTrack() });
    await call('POST', '/v1/allocate', { headers: asTrack({ authorization: 'Bearer guessed-secret' }) });
    await logged((line) => line.status === 401);
    expect(JSON.stringify(recorded.logs)).not.toMatch(new RegExp(`${TRACK_TOKEN}|guessed-secret`));
  });

  test('a role without one stops the start', () => {
    const metrics = { rateLimited: () => undefined };
    const options = { clock: { nowMs: () => 0 }, metrics, tokens: { track: ['t'], admin: [] } };
    expect(() => createAuth(options)).toThrow(new RangeError('no token for the role admin'));
  });
});

describe('wrong tokens', () => {
  const wrong = { headers: asTrack({ authorization: 'Bearer wrong' }) };

  test('are limited to 20 at once and one a second, counted, and never keep a right one out', async () => {
    const { call, recorded } = await startApp();
    for (let failure = 0; failure < 20; failure++) {
      expect((await call('POST', '/v1/allocate', wrong)).status).toBe(401);
    }
    const refused = await call('POST', '/v1/allocate', wrong);
    expect(refused.status).toBe(429);
    expect(refused.json.error).toMatchObject({ code: 'RATE_LIMITED', retry_after: 1 });
    expect(refused.headers['retry-after']).toBe('1');
    expect(recorded.of('metrics.rateLimited')).toHaveLength(1);

    expect((await call('POST', '/v1/allocate', { headers: asTrack() })).status).toBe(201);
    expect((await call('GET', '/v1/admin/stats', { headers: asAdmin() })).status).toBe(200);
    expect((await call('GET', '/v1/admin/stats', { headers: asTrack() })).status, 'no guess').toBe(403);

    recorded.clock.advance(1000);
    expect((await call('POST', '/v1/allocate', wrong)).status).toBe(401);
    expect((await call('POST', '/v1/allocate', wrong)).status).toBe(429);
  });

  test('are counted for each address', async () => {
    const { call } = await startApp({ trustProxy: ['loopback'] });
    const failFrom = async (address: string) =>
      (await call('POST', '/v1/allocate', { headers: { ...wrong.headers, 'x-forwarded-for': address } }))
        .status;
    for (let failure = 0; failure < 20; failure++) await failFrom('192.0.2.1');
    expect(await failFrom('192.0.2.1')).toBe(429);
    expect(await failFrom('192.0.2.2')).toBe(401);
  });

  test('do not use up what a missing token is told', async () => {
    const { call } = await startApp();
    for (let failure = 0; failure < 25; failure++) {
      expect((await call('POST', '/v1/allocate')).status).toBe(401);
    }
  });
});
