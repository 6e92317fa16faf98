import { describe, expect, test } from 'vitest';
import { asTrack, startApp } from '../../support/broker/http-app.ts';

const tight = { rateLimit: { rps: 1, burst: 2 } };

describe('the rate limit', () => {
  test('says with every answer what is left', async () => {
    const { call } = await startApp(tight);
    const answer = await call('POST', '/v1/allocate', { headers: asTrack() });
    expect(answer.headers).toMatchObject({
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '1',
      'x-ratelimit-reset': '1',
    });
  });

  test('answers 429 with Retry-After past the burst, counts it, and lets in again after that time', async () => {
    const { call, recorded } = await startApp(tight);
    await call('GET', '/');
    await call('GET', '/');
    const refused = await call('GET', '/');
    expect(refused.status).toBe(429);
    expect(refused.json.error).toMatchObject({ code: 'RATE_LIMITED', retry_after: 1, request_id: 'id-3' });
    expect(refused.headers).toMatchObject({
      'retry-after': '1',
      'x-ratelimit-remaining': '0',
      'x-request-id': 'id-3',
    });
    expect(recorded.of('metrics.rateLimited')).toHaveLength(1);
    recorded.clock.advance(1000);
    expect((await call('GET', '/')).status).toBe(200);
  });

  test.each([
    ['an unknown path', 'GET', '/nope', 404],
    ['a wrong method', 'DELETE', '/healthz', 405],
    ['a URL that cannot be read', 'GET', '/%zz', 400],
    ['a call without a token', 'POST', '/v1/allocate', 401],
    ['the docs', 'GET', '/v1/docs', 200],
  ])('holds for %s', async (_name, method, path, status) => {
    const { call } = await startApp(tight);
    expect((await call(method, path)).status).toBe(status);
    expect((await call(method, path)).status).toBe(status);
    expect((await call(method, path)).status).toBe(429);
  });

  test.each(['/healthz', '/readyz', '/metrics'])('leaves %s alone', async (path) => {
    const { call } = await startApp(tight);
    for (let probe = 0; probe < 5; probe++) {
      const answer = await call('GET', path);
      expect(answer.status).toBe(200);
      expect(answer.headers).not.toHaveProperty('x-ratelimit-limit');
    }
  });

  test('no header of the caller picks its bucket', async () => {
    const { call } = await startApp(tight);
    const statuses: number[] = [];
    for (let address = 1; address <= 3; address++) {
      const spoofed = `192.0.2.${address}`;
      const headers = { 'x-forwarded-for': spoofed, 'x-real-ip': spoofed, forwarded: `for=${spoofed}` };
      statuses.push((await call('GET', '/', { headers })).status);
    }
    expect(statuses).toEqual([200, 200, 429]);
  });

  test.each<[string, number | string[]]>([
    ['a trusted network', ['loopback']],
    ['a trusted address', ['127.0.0.1']],
    ['one proxy', 1],
  ])('with %s in front, the address it forwards has a bucket of its own', async (_name, trustProxy) => {
    const { call } = await startApp({ ...tight, trustProxy });
    const from = async (forwarded: string) =>
      (await call('GET', '/', { headers: { 'x-forwarded-for': forwarded } })).status;
    expect(await from('192.0.2.1')).toBe(200);
    expect(await from('192.0.2.1')).toBe(200);
    expect(await from('192.0.2.1')).toBe(429);
    expect(await from('192.0.2.2')).toBe(200);
    expect(await from('198.51.100.9, 192.0.2.1'), "only the proxy's own entry counts").toBe(429);
    expect(await from('2001:db8::1')).toBe(200);
    expect(await from('2001:db8::2')).toBe(200);
    expect(await from('2001:db8::3'), 'one /64').toBe(429);
  });
});
