import { describe, expect, test } from 'vitest';
import { BrokerError, ERROR_CODES } from '../../src/domain/errors.ts';
import { errorAnswer, HTTP_STATUS } from '../../src/http/error-handler.ts';
import { fakeAppDeps } from '../support/broker/fake-app-deps.ts';
import { type Answer, asAdmin, asTrack, startApp } from '../support/broker/http-app.ts';

/** What every error has, whoever made it. */
function expectErrorForm(answer: Answer, status: number, code: string): void {
  expect(answer.status).toBe(status);
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
  expect(Object.keys(answer.json)).toEqual(['error']);
  expect(answer.json.error).toMatchObject({ code, message: expect.stringMatching(/^[A-Z].*\.$/) });
  expect(answer.json.error?.request_id).toBe(answer.headers['x-request-id']);
  expect(answer.headers['x-correlation-id']).toBeTruthy();
  expect(answer.headers['retry-after']).toBe(answer.json.error?.retry_after?.toString());
  expect(answer.headers['x-content-type-options']).toBe('nosniff');
  expect(answer.headers['cache-control']).toBe('no-store');
}

describe('every error has the same form', () => {
  test.each<
    [string, number, string, string, string, Parameters<Awaited<ReturnType<typeof startApp>>['call']>[2]]
  >([
    ['an unknown path', 404, 'NOT_FOUND', 'GET', '/v2/allocate', {}],
    [
      'an unknown path with a broken body',
      404,
      'NOT_FOUND',
      'POST',
      '/nope',
      { body: '{', headers: { 'content-type': 'application/json' } },
    ],
    ['a trailing slash', 404, 'NOT_FOUND', 'POST', '/v1/allocate/', { headers: asTrack() }],
    ['another letter case', 404, 'NOT_FOUND', 'POST', '/V1/ALLOCATE', { headers: asTrack() }],
    ['a missing file of the docs', 404, 'NOT_FOUND', 'GET', '/v1/docs/static/nope.js', {}],
    ['a file outside the docs', 404, 'NOT_FOUND', 'GET', '/v1/docs/static/..%2f..%2fpackage.json', {}],
    ['a wrong method', 405, 'METHOD_NOT_ALLOWED', 'DELETE', '/v1/allocate', {}],
    [
      'broken JSON',
      400,
      'INVALID_REQUEST',
      'POST',
      '/v1/allocate',
      { headers: asTrack({ 'content-type': 'application/json' }), body: '{"a' },
    ],
    ['a broken escape in the path', 400, 'INVALID_REQUEST', 'GET', '/v1/%zz', {}],
    ['an escape that is no UTF-8', 400, 'INVALID_REQUEST', 'GET', '/v1/sandboxes/%ff', {}],
    ['a NUL in the path', 400, 'INVALID_REQUEST', 'GET', '/v1/sandboxes/a%00b', { headers: asTrack() }],
    ['a NUL in an unknown path', 400, 'INVALID_REQUEST', 'GET', '/%00', {}],
    ['a line feed in the path', 400, 'INVALID_REQUEST', 'GET', '/v1/sandboxes/a%0d%0ab', {}],
    ['a URL of 7,000 characters', 400, 'INVALID_REQUEST', 'GET', `/${'x'.repeat(6999)}`, {}],
    ['a query parameter given twice', 400, 'INVALID_REQUEST', 'GET', '/?a=1&a=2', {}],
    [
      'a wrong content type',
      415,
      'UNSUPPORTED_MEDIA_TYPE',
      'POST',
      '/v1/allocate',
      { headers: asTrack({ 'content-type': 'text/xml' }), body: '<a/>' },
    ],
    ['no token', 401, 'UNAUTHORIZED', 'GET', '/v1/admin/stats', {}],
    ['the wrong role', 403, 'FORBIDDEN', 'GET', '/v1/admin/stats', { headers: asTrack() }],
    ['OPTIONS', 405, 'METHOD_NOT_ALLOWED', 'OPTIONS', '/v1/allocate', {}],
    ['TRACE', 405, 'METHOD_NOT_ALLOWED', 'TRACE', '/v1/allocate', {}],
  ])('%s: %d %s', async (_name, status, code, method, path, options) => {
    const { call } = await startApp();
    expectErrorForm(await call(method, path, options), status, code);
  });

  test.each(ERROR_CODES)('%s from a use case', async (code) => {
    const { useCases } = fakeAppDeps().deps;
    const error = new BrokerError(code, 'A message.', { details: { of: 'use' } });
    const { call } = await startApp({ useCases: { ...useCases, getSandbox: () => Promise.reject(error) } });
    const answer = await call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack() });
    expectErrorForm(answer, HTTP_STATUS[code], code);
  });
});

describe('405', () => {
  test.each([
    ['DELETE', '/v1/allocate', 'POST'],
    ['GET', '/v1/allocate', 'POST'],
    ['PUT', '/v1/sandboxes/sbx-1', 'GET, HEAD'],
    ['POST', '/v1/sandboxes/sbx-1', 'GET, HEAD'],
    ['GET', '/v1/sandboxes/sbx-1/mark-for-deletion', 'POST'],
    ['PATCH', '/healthz', 'GET, HEAD'],
    ['POST', '/v1/admin/stats?x=1', 'GET, HEAD'],
    ['PROPFIND', '/', 'GET, HEAD'],
    ['OPTIONS', '/v1/admin/sync', 'POST'],
  ])('%s %s says that %s would do', async (method, path, allow) => {
    const { call } = await startApp();
    const answer = await call(method, path);
    expect(answer.status).toBe(405);
    expect(answer.headers['allow']).toBe(allow);
    expect(answer.json.error?.details?.allowed).toEqual(allow.split(', '));
  });
});

describe('a body that is too large is 413', () => {
  test('by its declared length, 2 MB, and the client reads the answer', async () => {
    const { call, recorded } = await startApp();
    const headers = asTrack({ 'content-type': 'application/json' });
    const answer = await call('POST', '/v1/allocate', { headers, body: Buffer.alloc(2 * 1024 * 1024, 'x') });
    expectErrorForm(answer, 413, 'PAYLOAD_TOO_LARGE');
    expect(recorded.of('allocateSandbox')).toEqual([]);
  });

  test('and a client that first sends all of it reads the answer, too', async () => {
    const { sendThenRead } = await startApp();
    const length = 8 * 1024 * 1024;
    const head = [
      'POST /v1/allocate HTTP/1.1',
      'Host: broker',
      ...Object.entries(asTrack()).map(([name, value]) => `${name}: ${value}`),
      'Content-Type: application/json',
      `Content-Length: ${length}`,
      '',
      '',
    ].join('\r\n');
    // The second request ends the connection.
    const next = 'GET /healthz HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n';
    const received = await sendThenRead(`${head}${'x'.repeat(length)}${next}`);
    expect(received).toMatch(/^HTTP\/1\.1 413 /);
    expect(received).toContain('HTTP/1.1 200 OK');
  });

  test('by its chunks', async () => {
    const { raw } = await startApp();
    const chunk = `2000\r\n${'x'.repeat(0x2000)}\r\n`;
    const answer = await raw(
      [
        'POST /v1/allocate HTTP/1.1',
        'Host: broker',
        ...Object.entries(asTrack()).map(([name, value]) => `${name}: ${value}`),
        'Content-Type: application/json',
        'Transfer-Encoding: chunked',
        'Connection: close',
        '',
        `${chunk}${chunk}${chunk}0\r\n\r\n`,
      ].join('\r\n'),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain('"PAYLOAD_TOO_LARGE"');
  });

  test('one of 16 KiB is still read', async () => {
    const { call } = await startApp();
    const headers = asTrack({ 'content-type': 'application/json' });
    const body = `{}${' '.repeat(16 * 1024 - 2)}`;
    expect((await call('POST', '/v1/allocate', { headers, body })).status).toBe(201);
    expect((await call('POST', '/v1/allocate', { headers, body: `${body} ` })).status).toBe(413);
  });

  test('without a token nobody reads it: 401', async () => {
    const { call } = await startApp();
    const answer = await call('POST', '/v1/allocate', {
      headers: { 'content-type': 'application/json' },
      body: Buffer.alloc(100_000),
    });
    expect(answer.status).toBe(401);
  });
});

describe('a failure of our own', () => {
  const secret = 'connect ECONNREFUSED 10.0.0.5:8000 key=AKIASECRET';

  test('is 500 without its inside, and logged with it', async () => {
    const { useCases } = fakeAppDeps().deps;
    const { call, logged } = await startApp({
      useCases: { ...useCases, getSandbox: () => Promise.reject(new Error(secret)) },
    });
    const answer = await call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack() });
    expectErrorForm(answer, 500, 'INTERNAL');
    expect(answer.text).not.toContain('ECONNREFUSED');
    const line = await logged(({ level }) => level === 'error');
    expect(line).toMatchObject({ request_id: 'id-1', error_code: 'INTERNAL', err: { message: secret } });
  });

  test('is 500 when an answer does not fit its schema', async () => {
    const { useCases } = fakeAppDeps().deps;
    const { call } = await startApp({
      useCases: { ...useCases, poolStats: async () => ({ counts: {} as never, total: 1, asOfMs: 1 }) },
    });
    const answer = await call('GET', '/v1/admin/stats', { headers: asAdmin() });
    expectErrorForm(answer, 500, 'INTERNAL');
    expect(answer.text).not.toContain('schema');
  });

  test('is 500 when something is thrown that is no error', async () => {
    const { useCases } = fakeAppDeps().deps;
    const { call } = await startApp({
      useCases: { ...useCases, getSandbox: () => Promise.reject('a text') },
    });
    expectErrorForm(await call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack() }), 500, 'INTERNAL');
  });

  test('a cause stays inside even where the message goes out', async () => {
    const { useCases } = fakeAppDeps().deps;
    const error = new BrokerError('STORE_UNAVAILABLE', 'The store does not answer.', {
      cause: new Error(secret),
    });
    const { call, logged } = await startApp({
      useCases: { ...useCases, getSandbox: () => Promise.reject(error) },
    });
    const answer = await call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack() });
    expect(answer.text).not.toContain('ECONNREFUSED');
    expect(await logged(({ level }) => level === 'warn')).toMatchObject({ error_code: 'STORE_UNAVAILABLE' });
  });
});

test('retry_after is whole seconds, at least one', () => {
  const retryAfter = (retryAfterSeconds: number) =>
    errorAnswer(new BrokerError('BUSY', 'Busy.', { retryAfterSeconds }), 'id').body.error.retry_after;
  expect([0, 0.01, 1, 1.01, 30].map(retryAfter)).toEqual([1, 1, 1, 2, 30]);
});
