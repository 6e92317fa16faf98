import { describe, expect, test } from 'vitest';
import { asTrack, startApp } from '../../support/broker/http-app.ts';

const ORIGIN = 'https://console.example.org';
const preflight = {
  origin: ORIGIN,
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization,x-track-id',
};

test.each([
  ['GET', '/', 200],
  ['GET', '/healthz', 200],
  ['GET', '/nope', 404],
  ['GET', '/%zz', 400],
  ['POST', '/v1/allocate', 401],
])('%s %s tells browsers to trust nothing', async (method, path, status) => {
  const { call } = await startApp();
  const answer = await call(method, path);
  expect(answer.status).toBe(status);
  expect(answer.headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'SAMEORIGIN',
    'referrer-policy': 'no-referrer',
    'content-security-policy': "default-src 'none';frame-ancestors 'none'",
    'strict-transport-security': expect.stringContaining('max-age='),
    'cache-control': 'no-store',
  });
  expect(answer.headers).not.toHaveProperty('x-powered-by');
  expect(answer.headers).not.toHaveProperty('server');
});

describe('with no origin listed', () => {
  test('no page may call: no CORS header, and a preflight is a wrong method', async () => {
    const { call } = await startApp();
    const answer = await call('POST', '/v1/allocate', { headers: asTrack({ origin: ORIGIN }) });
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    expect((await call('OPTIONS', '/v1/allocate', { headers: preflight })).status).toBe(405);
  });
});

describe('with an origin listed', () => {
  const listed = { corsAllowedOrigins: [ORIGIN] };

  test('its pages may call, and read the headers that matter', async () => {
    const { call } = await startApp(listed);
    const answer = await call('POST', '/v1/allocate', { headers: asTrack({ origin: ORIGIN }) });
    expect(answer.status).toBe(201);
    expect(answer.headers['access-control-allow-origin']).toBe(ORIGIN);
    expect(answer.headers['access-control-expose-headers']).toContain('X-Request-ID');
    expect(answer.headers).not.toHaveProperty('access-control-allow-credentials');
  });

  test.each([
    ['a refusal', '/v1/allocate', 401],
    ['an unknown path', '/nope', 404],
  ])('they may read %s, too', async (_name, path, status) => {
    const { call } = await startApp(listed);
    const answer = await call('POST', path, { headers: { origin: ORIGIN } });
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([status, ORIGIN]);
  });

  test('they may read that they came too often', async () => {
    const { call } = await startApp({ ...listed, rateLimit: { rps: 1, burst: 1 } });
    await call('GET', '/', { headers: { origin: ORIGIN } });
    const answer = await call('GET', '/', { headers: { origin: ORIGIN } });
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([429, ORIGIN]);
  });

  test('a preflight needs no token, and is answered', async () => {
    const { call, recorded } = await startApp(listed);
    const answer = await call('OPTIONS', '/v1/allocate', { headers: preflight });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, DELETE',
      'access-control-allow-headers': 'authorization,x-track-id',
    });
    expect(recorded.of('allocateSandbox')).toEqual([]);
  });

  test('preflights are rate-limited like everything else', async () => {
    const { call } = await startApp({ ...listed, rateLimit: { rps: 1, burst: 1 } });
    await call('OPTIONS', '/v1/allocate', { headers: preflight });
    expect((await call('OPTIONS', '/v1/allocate', { headers: preflight })).status).toBe(429);
  });

  test("other origins' pages are told nothing", async () => {
    const { call } = await startApp(listed);
    for (const origin of ['https://evil.example.org', `${ORIGIN}.evil.org`, 'null']) {
      const answer = await call('POST', '/v1/allocate', { headers: asTrack({ origin }) });
      expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
    }
  });

  test('OPTIONS that is no preflight is a wrong method', async () => {
    const { call } = await startApp(listed);
    const answer = await call('OPTIONS', '/v1/allocate');
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'POST']);
    expect((await call('OPTIONS', '/nope')).status).toBe(404);
  });
});
