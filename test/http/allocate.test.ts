import { describe, expect, test } from 'vitest';
import { BrokerError } from '../../src/domain/errors.ts';
import type { AllocateResult } from '../../src/usecases/leases/allocate-sandbox.ts';
import { fakeAppDeps } from '../support/broker/fake-app-deps.ts';
import { asTrack, startApp, type TestCall } from '../support/broker/http-app.ts';

const LEASE = {
  sandbox_id: 'sbx-1',
  name: 'lab-0001',
  external_id: 'ext/1',
  lease_id: 'lease-1',
  fencing_token: 2,
  allocated_at: 1_767_225_600,
  expires_at: 1_767_240_000,
};

/** An app whose allocations give `result` or throw it. */
function startWith(result: Partial<AllocateResult> | Error) {
  const { useCases } = fakeAppDeps().deps;
  return startApp({
    useCases: {
      ...useCases,
      allocateSandbox: async (input, context) => {
        if (result instanceof Error) throw result;
        return { ...(await useCases.allocateSandbox(input, context)), ...result };
      },
    },
  });
}

describe('POST /v1/allocate', () => {
  test('a new lease is 201, with exactly the documented fields', async () => {
    const { call } = await startApp();
    const answer = await call('POST', '/v1/allocate', { headers: asTrack() });
    expect(answer.status).toBe(201);
    expect(answer.json).toEqual(LEASE);
    expect(answer.headers).not.toHaveProperty('idempotency-replayed');
  });

  test('a replayed lease is 200 and says so', async () => {
    const { call } = await startWith({ replayed: true });
    const answer = await call('POST', '/v1/allocate', { headers: asTrack() });
    expect(answer.status).toBe(200);
    expect(answer.headers['idempotency-replayed']).toBe('true');
    expect(answer.json).toEqual(LEASE);
  });

  test('a lease that is over is 200, and says so twice', async () => {
    const { call } = await startWith({ replayed: true, leaseOver: true });
    const answer = await call('POST', '/v1/allocate', { headers: asTrack({ 'idempotency-key': 'k' }) });
    expect(answer.status).toBe(200);
    expect(answer.headers['idempotency-replayed']).toBe('true');
    expect(answer.json).toEqual({ ...LEASE, lease_over: true });
  });

  test('sfdc_account_id is there when the sandbox has one', async () => {
    const { useCases } = fakeAppDeps().deps;
    const { lease } = await useCases.allocateSandbox(
      { principal: 'track', holder: 'h' },
      { actor: 'track', requestId: 'r', correlationId: 'c', signal: new AbortController().signal },
    );
    const { call } = await startWith({ lease: { ...lease, sfdcAccountId: '001xx' } });
    const answer = await call('POST', '/v1/allocate', { headers: asTrack() });
    expect(answer.json).toEqual({ ...LEASE, sfdc_account_id: '001xx' });
  });

  test('the use case gets the holder, the lab, the prefix, the key, and who asks', async () => {
    const { call, recorded } = await startApp();
    await call('POST', '/v1/allocate', {
      headers: asTrack({
        'x-instruqt-sandbox-id': 'user@lab/1',
        'x-instruqt-track-id': 'intro to k8s',
        'x-sandbox-name-prefix': 'lab-',
        'idempotency-key': 'key!1',
        'x-correlation-id': 'corr-1',
      }),
    });
    const [[input, context]] = recorded.of('allocateSandbox') as [[unknown, object]];
    expect(input).toEqual({
      principal: 'track',
      holder: 'user@lab/1',
      lab: 'intro to k8s',
      namePrefix: 'lab-',
      idempotencyKey: 'key!1',
      durationSeconds: undefined,
      heartbeatSeconds: undefined,
    });
    expect(context).toMatchObject({ actor: 'track', requestId: 'id-1', correlationId: 'corr-1' });
  });

  test('the body says for how long', async () => {
    const { call, recorded } = await startApp();
    const options = { headers: asTrack({ 'content-type': 'application/json' }) };
    const answer = await call('POST', '/v1/allocate', { ...options, body: '{"duration_seconds":600}' });
    expect(answer.status).toBe(201);
    expect(recorded.of('allocateSandbox')[0]?.[0]).toMatchObject({ durationSeconds: 600 });
  });

  test.each([
    ['{"duration_seconds":0}', 'duration_seconds', 'must be a whole number from 1 to 31536000'],
    ['{"duration_seconds":1.5}', 'duration_seconds', 'must be a whole number from 1 to 31536000'],
    ['{"duration_seconds":"600"}', 'duration_seconds', 'must be a whole number from 1 to 31536000'],
    ['{"duration_seconds":null}', 'duration_seconds', 'must be a whole number from 1 to 31536000'],
    ['{"pool":"eu"}', 'pool', expect.stringMatching(/^is not known here: .*duration_seconds/)],
    ['{"selectors":[]}', 'selectors', expect.stringMatching(/^is not known here: /)],
    ['[]', 'body', 'must be an object'],
  ])('the body %s is refused, and the field named', async (body, name, problem) => {
    const { call, recorded } = await startApp();
    const headers = asTrack({ 'content-type': 'application/json' });
    const answer = await call('POST', '/v1/allocate', { headers, body });
    expect(answer.status).toBe(400);
    expect(answer.json).toMatchObject({
      error: { code: 'INVALID_REQUEST', details: { fields: [{ in: 'body', name, problem }] } },
    });
    expect(recorded.of('allocateSandbox')).toEqual([]);
  });

  test('X-Track-ID is the holder where there is no X-Instruqt-Sandbox-ID', async () => {
    const { call, recorded } = await startApp();
    await call('POST', '/v1/allocate', { headers: asTrack({ 'x-track-id': 'track:7' }) });
    expect(recorded.of('allocateSandbox')[0]?.[0]).toMatchObject({ holder: 'track:7' });
  });

  test('a prefix in UTF-8 arrives as it was meant; other bytes stay what they are', async () => {
    const { call, recorded } = await startApp();
    const utf8 = Buffer.from('Übung-').toString('latin1');
    await call('POST', '/v1/allocate', { headers: asTrack({ 'x-sandbox-name-prefix': utf8 }) });
    await call('POST', '/v1/allocate', { headers: asTrack({ 'x-sandbox-name-prefix': '\xdcbung-' }) });
    const prefixes = recorded
      .of('allocateSandbox')
      .map(([input]) => (input as { namePrefix: string }).namePrefix);
    expect(prefixes).toEqual(['Übung-', 'Übung-']);
  });

  test.each<[string, TestCall]>([
    ['no body, no content type', {}],
    ['{} as JSON', { headers: { 'content-type': 'application/json' }, body: '{}' }],
    [
      '{} as JSON with a charset',
      { headers: { 'content-type': 'application/json; charset=utf-8' }, body: ' {} ' },
    ],
    ['nothing, called JSON', { headers: { 'content-type': 'application/json', 'content-length': '0' } }],
    ['nothing, called a form', { headers: { 'content-type': 'application/x-www-form-urlencoded' } }],
    ['nothing, called text', { headers: { 'content-type': 'text/plain', 'content-length': '0' } }],
    ['nothing, called something unreadable', { headers: { 'content-type': 'json' } }],
  ])('is content with %s', async (_name, { headers = {}, body }) => {
    const { call } = await startApp();
    const options: TestCall = { headers: asTrack(headers as Record<string, string>) };
    if (body !== undefined) options.body = body;
    expect((await call('POST', '/v1/allocate', options)).status).toBe(201);
  });

  test('is content with a chunked body of nothing, whatever it is called', async () => {
    const { raw } = await startApp();
    const answer = await raw(
      [
        'POST /v1/allocate HTTP/1.1',
        'Host: broker',
        ...Object.entries(asTrack()).map(([name, value]) => `${name}: ${value}`),
        'Content-Type: application/json',
        'Transfer-Encoding: chunked',
        'Connection: close',
        '',
        '0\r\n\r\n',
      ].join('\r\n'),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 201 /);
  });

  test('Expect: 100-continue is met, and any other expectation ignored', async () => {
    const { raw } = await startApp();
    for (const expectation of ['100-continue', '200-maybe']) {
      const answer = await raw(
        [
          'POST /v1/allocate HTTP/1.1',
          'Host: broker',
          ...Object.entries(asTrack()).map(([name, value]) => `${name}: ${value}`),
          `Expect: ${expectation}`,
          'Content-Type: application/json',
          'Content-Length: 2',
          'Connection: close',
          '',
          '{}',
        ].join('\r\n'),
      );
      expect(answer).toMatch(/HTTP\/1\.1 201 /);
    }
  });
});

describe('an allocation that is not valid is 400 and names the field', () => {
  const long = 'x'.repeat(129);
  test.each<[string, Record<string, string>, string]>([
    ['no holder', { 'x-track-id': '' }, 'X-Track-ID'],
    ['a holder with a space', { 'x-track-id': 'a b' }, 'X-Track-ID'],
    ['a holder of 129 characters', { 'x-instruqt-sandbox-id': long }, 'X-Instruqt-Sandbox-ID'],
    ['a holder with an umlaut', { 'x-instruqt-sandbox-id': '\xfc' }, 'X-Instruqt-Sandbox-ID'],
    ['a prefix of 129 characters', { 'x-sandbox-name-prefix': long }, 'X-Sandbox-Name-Prefix'],
    ['an empty prefix', { 'x-sandbox-name-prefix': '' }, 'X-Sandbox-Name-Prefix'],
    ['a prefix with a tab', { 'x-sandbox-name-prefix': 'a\tb' }, 'X-Sandbox-Name-Prefix'],
    ['a prefix with a C1 control', { 'x-sandbox-name-prefix': '\xc2\x85' }, 'X-Sandbox-Name-Prefix'],
    ['a lab of 129 characters', { 'x-instruqt-track-id': long }, 'X-Instruqt-Track-ID'],
    ['a key of 256 characters', { 'idempotency-key': 'k'.repeat(256) }, 'Idempotency-Key'],
    ['a key with a space', { 'idempotency-key': 'a b' }, 'Idempotency-Key'],
    ['an empty key', { 'idempotency-key': '' }, 'Idempotency-Key'],
  ])('%s', async (_name, headers, field) => {
    const { call, recorded } = await startApp();
    const { status, json } = await call('POST', '/v1/allocate', { headers: asTrack(headers) });
    expect(status).toBe(400);
    expect(json.error).toMatchObject({ code: 'INVALID_REQUEST', request_id: 'id-1' });
    expect(json.error?.message).toContain(field);
    expect(json.error?.details?.fields?.[0]).toMatchObject({ in: 'header', name: field });
    expect(recorded.of('allocateSandbox')).toEqual([]);
  });

  test('no holder at all', async () => {
    const { call } = await startApp();
    const { authorization } = asTrack();
    const { status, json } = await call('POST', '/v1/allocate', {
      headers: { authorization: authorization! },
    });
    expect(status).toBe(400);
    expect(json.error?.message).toMatch(/X-Instruqt-Sandbox-ID .*X-Track-ID/);
  });

  test.each([
    'x-track-id',
    'idempotency-key',
    'x-sandbox-name-prefix',
    'x-instruqt-sandbox-id',
    'authorization',
  ])('%s given twice, even with the same value', async (name) => {
    const { call } = await startApp();
    const headers = Object.entries(asTrack({ [name]: asTrack()[name] ?? 'same' })).flat();
    headers.push(name.toUpperCase(), asTrack()[name] ?? 'same');
    const { status, json } = await call('POST', '/v1/allocate', { headers });
    expect(status).toBe(400);
    expect(json.error?.details?.fields?.[0]?.name.toLowerCase()).toBe(name);
    expect(json.error?.message).toContain('must be given once');
  });

  test.each<[string, string, string]>([
    ['an unknown field', '{"sandbox_id":"x"}', 'sandbox_id'],
    ['a list', '[]', 'must be an object'],
    ['a text', '"{}"', 'must be an object'],
    ['a number', '1', 'must be an object'],
    ['half an object', '{"a":', 'not valid JSON'],
    ['another prototype', '{"__proto__":{"admin":true}}', 'not valid JSON'],
    ["another constructor's prototype", '{"constructor":{"prototype":{}}}', 'not valid JSON'],
    ['bytes that are no UTF-8', '\xff\xfe', 'not valid JSON'],
  ])('a body of %s', async (_name, body, message) => {
    const { call } = await startApp();
    const headers = asTrack({ 'content-type': 'application/json' });
    const { status, json } = await call('POST', '/v1/allocate', {
      headers,
      body: Buffer.from(body, 'latin1'),
    });
    expect(status).toBe(400);
    expect(json.error?.code).toBe('INVALID_REQUEST');
    expect(json.error?.message).toContain(message);
  });

  test('a body with a thousand unknown fields gets a short answer', async () => {
    const { call } = await startApp();
    const body = JSON.stringify(
      Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`f${index}`, 1])),
    );
    const answer = await call('POST', '/v1/allocate', {
      headers: asTrack({ 'content-type': 'application/json' }),
      body,
    });
    expect(answer.status).toBe(400);
    expect(answer.json.error?.details?.fields).toHaveLength(10);
    expect(answer.text.length).toBeLessThan(2000);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'json'])(
    'a body that is %s is 415',
    async (type) => {
      const { call } = await startApp();
      const answer = await call('POST', '/v1/allocate', {
        headers: asTrack({ 'content-type': type }),
        body: '{}',
      });
      expect(answer.status).toBe(415);
      expect(answer.json.error?.code).toBe('UNSUPPORTED_MEDIA_TYPE');
    },
  );
});

describe('an allocation that is refused', () => {
  test.each<[BrokerError, number, string, number | undefined]>([
    [new BrokerError('NO_SANDBOXES_AVAILABLE', 'None.'), 409, 'no_sandboxes', undefined],
    [new BrokerError('NO_SANDBOXES_AVAILABLE', 'None.', { retryAfterSeconds: 30 }), 409, 'no_sandboxes', 30],
    [new BrokerError('IDEMPOTENCY_KEY_REUSED', 'Reused.'), 422, 'conflict_key', undefined],
    [new BrokerError('LINE_FULL', 'Full.', { retryAfterSeconds: 30 }), 409, 'line_full', 30],
    [new BrokerError('PLACE_LOST', 'Gone.', { retryAfterSeconds: 1 }), 409, 'place_lost', 1],
    [new BrokerError('INVALID_REQUEST', 'Too long.'), 400, 'refused', undefined],
    [new BrokerError('BUSY', 'Busy.', { retryAfterSeconds: 0.2 }), 503, 'busy', 1],
    [new BrokerError('STORE_UNAVAILABLE', 'Gone.'), 503, 'error', 1],
    [new BrokerError('SHUTTING_DOWN', 'Bye.', { retryAfterSeconds: 2.1 }), 503, 'error', 3],
  ])('%s is %d', async (error, status, outcome, retryAfter) => {
    const { call, recorded } = await startWith(error);
    const answer = await call('POST', '/v1/allocate', { headers: asTrack() });
    expect(answer.status).toBe(status);
    expect(answer.json.error).toEqual({
      code: error.code,
      message: error.message,
      request_id: 'id-1',
      ...(retryAfter === undefined ? {} : { retry_after: retryAfter }),
    });
    expect(answer.headers['retry-after']).toBe(retryAfter === undefined ? undefined : String(retryAfter));
    expect(recorded.of('metrics.allocation')).toEqual([[outcome, expect.any(Number), 0]]);
  });
});

describe('what an allocation leaves behind', () => {
  test.each<[string, Partial<AllocateResult> | Error, string, number, string]>([
    ['a new lease', { conflicts: 2 }, 'success', 2, 'info'],
    ['a replay', { replayed: true }, 'idempotent', 0, 'info'],
    ['an empty pool', new BrokerError('NO_SANDBOXES_AVAILABLE', 'None.'), 'no_sandboxes', 0, 'info'],
    ['a bad request', new BrokerError('INVALID_REQUEST', 'Too long.'), 'refused', 0, 'info'],
    ['a failure', new Error('boom'), 'error', 0, 'error'],
  ])('%s is counted and logged once', async (_name, result, outcome, conflicts, level) => {
    const { call, recorded, logged } = await startWith(result);
    await call('POST', '/v1/allocate', { headers: asTrack({ 'x-correlation-id': 'corr-1' }) });
    expect(recorded.of('metrics.allocation')).toEqual([[outcome, expect.any(Number), conflicts]]);
    const line = await logged((entry) => entry.action === 'allocate' && entry.outcome !== undefined);
    expect(line).toMatchObject({
      level,
      outcome,
      holder: 'holder-1',
      conflicts,
      latency_ms: expect.any(Number),
      request_id: 'id-1',
      correlation_id: 'corr-1',
    });
    expect(recorded.logs.filter((entry) => entry.outcome !== undefined)).toHaveLength(1);
  });
});
