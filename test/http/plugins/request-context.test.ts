import { once } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import { StoreUnavailableError } from '../../../src/domain/errors.ts';
import { currentCorrelation } from '../../../src/telemetry/correlation.ts';
import type { CallContext } from '../../../src/usecases/context.ts';
import { availableSandbox, fakeAppDeps } from '../../support/broker/fake-app-deps.ts';
import { asAdmin, asTrack, startApp } from '../../support/broker/http-app.ts';

describe('ids', () => {
  test('every answer has an X-Request-ID of the broker’s own, whatever the caller sends', async () => {
    const { call } = await startApp();
    const answer = await call('GET', '/', { headers: { 'x-request-id': 'mine', 'request-id': 'mine' } });
    expect(answer.headers['x-request-id']).toBe('id-1');
  });

  test.each(['a', 'A-Z_0.9:@/-', 'x'.repeat(128)])('a usable X-Correlation-ID is kept: %s', async (id) => {
    const { call } = await startApp();
    const answer = await call('GET', '/', { headers: { 'x-correlation-id': id } });
    expect(answer.headers['x-correlation-id']).toBe(id);
  });

  test.each(['', 'a b', 'x'.repeat(129), 'a;b', '<script>', 'a%0d%0aX-Evil:1', '\xfc', '"'])(
    'any other is replaced by the request id: %s',
    async (id) => {
      const { call } = await startApp();
      const answer = await call('GET', '/', { headers: { 'x-correlation-id': id } });
      expect(answer.status).toBe(200);
      expect(answer.headers['x-correlation-id']).toBe('id-1');
    },
  );

  test('two of them are replaced, too', async () => {
    const { call } = await startApp();
    const answer = await call('GET', '/', { headers: ['x-correlation-id', 'a', 'x-correlation-id', 'b'] });
    expect([answer.status, answer.headers['x-correlation-id']]).toEqual([200, 'id-1']);
  });

  test('what a use case starts, asynchronous or not, is correlated: after a body was read, and at once', async () => {
    const seen: unknown[] = [];
    const { useCases } = fakeAppDeps().deps;
    const { call } = await startApp({
      useCases: {
        ...useCases,
        allocateSandbox: async (input, context) => {
          await new Promise((resolve) => setImmediate(resolve));
          seen.push(currentCorrelation());
          return useCases.allocateSandbox(input, context);
        },
        getSandbox: async () => {
          seen.push(currentCorrelation());
          return availableSandbox;
        },
      },
    });
    const headers = asTrack({ 'x-correlation-id': 'corr-1', 'content-type': 'application/json' });
    await call('POST', '/v1/allocate', { headers, body: '{}' });
    await call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack() });
    expect(seen).toEqual([
      { requestId: 'id-1', correlationId: 'corr-1' },
      { requestId: 'id-2', correlationId: 'id-2' },
    ]);
  });
});

describe('the line and the count of a request', () => {
  test.each([
    ['GET', '/v1/sandboxes/sbx-1?x=secret', asTrack(), '/v1/sandboxes/:id', 200, undefined],
    ['GET', '/v1/admin/stats', asAdmin(), '/v1/admin/stats', 200, undefined],
    ['POST', '/v1/admin/sync', asAdmin(), '/v1/admin/sync', 200, undefined],
    ['POST', '/v1/allocate', {}, '/v1/allocate', 401, 'UNAUTHORIZED'],
    ['GET', '/nope?x=secret', {}, undefined, 404, 'NOT_FOUND'],
    ['DELETE', '/v1/allocate', {}, undefined, 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/v1/%zz', {}, undefined, 400, 'INVALID_REQUEST'],
  ])('%s %s', async (method, path, headers, endpoint, status, errorCode) => {
    const { call, recorded, logged } = await startApp();
    await call(method, path, { headers: { ...headers, 'x-correlation-id': 'corr-1' } });
    const line = await logged(({ msg }) => msg === 'request');
    expect(line).toMatchObject({
      level: 'info',
      request_id: 'id-1',
      correlation_id: 'corr-1',
      action: 'request',
      method,
      path: path.split('?')[0],
      status,
      latency_ms: expect.any(Number),
    });
    expect([line['endpoint'], line['error_code']]).toEqual([endpoint, errorCode]);
    expect(JSON.stringify(line)).not.toContain('secret');
    expect(recorded.of('metrics.request')).toEqual([[method, endpoint, status, expect.any(Number)]]);
  });

  test('is one line, with what the call came to', async () => {
    const { call, recorded, logged } = await startApp();
    await call('POST', '/v1/allocate', { headers: asTrack() });
    const line = await logged(({ msg }) => msg === 'request');
    expect(recorded.logs.filter((each) => each['request_id'] === 'id-1')).toEqual([line]);
    expect(line).toMatchObject({
      level: 'info',
      request_id: 'id-1',
      action: 'allocate',
      outcome: 'success',
      holder: 'holder-1',
      sandbox_id: 'sbx-1',
      method: 'POST',
      endpoint: '/v1/allocate',
      path: '/v1/allocate',
      status: 201,
      latency_ms: expect.any(Number),
    });
  });

  test.each(['/healthz', '/readyz', '/metrics'])('%s has its line at debug only', async (path) => {
    const { call, recorded, logged } = await startApp();
    await call('GET', path);
    expect(await logged(({ msg }) => msg === 'request')).toMatchObject({ level: 'debug' });
    expect(recorded.of('metrics.request')).toEqual([['GET', path, 200, expect.any(Number)]]);
  });

  test('an expected refusal is no warning', async () => {
    const { call, recorded, logged } = await startApp();
    await call('POST', '/v1/allocate', { headers: asTrack({ 'x-track-id': 'a b' }) });
    await logged(({ msg }) => msg === 'request');
    expect(recorded.logs.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  test('a very long path is cut', async () => {
    const { call, logged } = await startApp();
    await call('GET', `/${'x'.repeat(3000)}`);
    expect((await logged(({ msg }) => msg === 'request'))['path']).toHaveLength(256);
  });
});

describe('a client that goes away', () => {
  /** A use case that reports its context, and stays open until the test lets it go. */
  function heldOpen() {
    const started = Promise.withResolvers<CallContext>();
    const released = Promise.withResolvers<void>();
    const hold = async (context: CallContext) => {
      started.resolve(context);
      await released.promise;
    };
    return { started: started.promise, release: () => released.resolve(), hold };
  }

  const head = (line: string) =>
    [
      line,
      'Host: broker',
      ...Object.entries(asTrack()).map(([name, value]) => `${name}: ${value}`),
      '',
      '',
    ].join('\r\n');

  test('ends a read', async () => {
    const { started, release, hold } = heldOpen();
    const { useCases } = fakeAppDeps().deps;
    const { connect, logged, recorded } = await startApp({
      useCases: {
        ...useCases,
        getSandbox: async (_input, context) => {
          await hold(context);
          return availableSandbox;
        },
      },
    });
    const socket = await connect();
    socket.write(head('GET /v1/sandboxes/sbx-1 HTTP/1.1'));
    const { signal } = await started;
    expect(signal.aborted).toBe(false);
    const aborted = once(signal, 'abort');
    socket.destroy();
    await aborted;
    release();
    expect(await logged(({ msg }) => msg === 'request')).toMatchObject({ status: 499 });
    expect(recorded.of('metrics.request')).toEqual([['GET', '/v1/sandboxes/:id', 499, expect.any(Number)]]);
  });

  test('is no failure of the store', async () => {
    const { started, hold } = heldOpen();
    const { useCases } = fakeAppDeps().deps;
    const { connect, logged, recorded } = await startApp({
      useCases: {
        ...useCases,
        getSandbox: async (_input, context) => {
          const held = hold(context);
          await Promise.race([held, once(context.signal, 'abort')]);
          throw new StoreUnavailableError(context.signal.reason);
        },
      },
    });
    const socket = await connect();
    socket.write(head('GET /v1/sandboxes/sbx-1 HTTP/1.1'));
    await started;
    socket.destroy();
    const line = await logged(({ msg }) => msg === 'request');
    expect(line).toMatchObject({ status: 499, outcome: 'cancelled' });
    expect(line).not.toHaveProperty('error_code');
    await new Promise(setImmediate);
    expect(recorded.logs.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });

  test('does not end an allocation, which is counted and logged like any other', async () => {
    const { started, release, hold } = heldOpen();
    const { useCases } = fakeAppDeps().deps;
    const { connect, logged, recorded } = await startApp({
      useCases: {
        ...useCases,
        allocateSandbox: async (input, context) => {
          await hold(context);
          return useCases.allocateSandbox(input, context);
        },
      },
    });
    const socket = await connect();
    socket.write(head('POST /v1/allocate HTTP/1.1'));
    const { signal } = await started;
    socket.destroy();
    await logged(({ msg, status }) => msg === 'request' && status === 499);
    expect(signal.aborted).toBe(false);
    release();
    expect(await logged(({ outcome }) => outcome === 'success')).toMatchObject({ sandbox_id: 'sbx-1' });
    expect(recorded.of('metrics.allocation')).toEqual([['success', expect.any(Number), 0]]);
  });

  test('a read that nobody gave up is not aborted by its own answer', async () => {
    const { useCases } = fakeAppDeps().deps;
    let signal: AbortSignal | undefined;
    const { call, logged } = await startApp({
      useCases: {
        ...useCases,
        getSandbox: async (_input, context) => {
          signal = context.signal;
          return availableSandbox;
        },
      },
    });
    await call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack() });
    await logged(({ msg }) => msg === 'request');
    expect(signal?.aborted).toBe(false);
  });
});

test('an answer that is under way while the app closes is finished, and says that its connection ends', async () => {
  const { useCases } = fakeAppDeps().deps;
  const started = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const { app, call } = await startApp({
    useCases: {
      ...useCases,
      getSandbox: async () => {
        started.resolve();
        await released.promise;
        return availableSandbox;
      },
    },
  });
  const answered = call('GET', '/v1/sandboxes/sbx-1', { headers: asTrack() });
  await started.promise;
  const closed = app.close();
  await vi.waitFor(() => expect(app.server.listening).toBe(false));
  released.resolve();
  const [answer] = await Promise.all([answered, closed]);
  expect(answer.status).toBe(200);
  expect(answer.headers['connection']).toBe('close');
});
