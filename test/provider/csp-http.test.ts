import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { CspProviderOptions } from '../../src/provider/csp.ts';
import type { ProviderError } from '../../src/provider/provider.ts';
import {
  failureOf,
  json,
  list,
  provide,
  rawServer,
  remove,
  setUp,
  TOKEN,
} from '../support/provider/csp-provider.ts';
import { account } from '../support/provider/fake-csp.ts';
import type { FakeFault } from '../support/provider/fake-csp-faults.ts';

describe('time-outs and aborts', () => {
  it('a connection that is never established is a time-out', async () => {
    // It reads and never answers: no TLS handshake, which belongs to the connect.
    const port = await rawServer((socket) => socket.resume());
    const provider = provide({
      baseUrl: `https://127.0.0.1:${port}`,
      connectTimeoutMs: 50,
      readTimeoutMs: 60_000,
    });
    expect((await failureOf(list(provider))).kind).toBe('timeout');
  });

  it('a connection that is refused is a network error', async () => {
    const { csp, provider } = await setUp();
    await csp.close();
    const error = await failureOf(list(provider));
    expect(error.kind).toBe('network');
    expect(error.message).toContain('ECONNREFUSED');
  });

  it.each<[string, FakeFault]>([
    ['waiting for the answer', { kind: 'hang' }],
    ['reading the body', { kind: 'stall' }],
  ])('an abort while %s ends the call at once', async (_, fault) => {
    const { csp, provider } = await setUp({ readTimeoutMs: 60_000 });
    for (const operation of ['list', 'delete'] as const) {
      csp.add(account());
      csp.faults.add(operation, fault);
      const abort = new AbortController();
      const call = failureOf(
        operation === 'list' ? list(provider, abort.signal) : remove(provider, 'x', abort.signal),
      );
      await csp.arrived(operation, 1);
      abort.abort();
      expect((await call).kind).toBe('aborted');
    }
  });

  it('an abort while the call queues for a connection ends it at once, and it is never sent', async () => {
    const { csp, provider } = await setUp({ readTimeoutMs: 60_000, connections: 1 });
    const { promise: until, resolve: release } = Promise.withResolvers<void>();
    csp.faults.add('list', { kind: 'hold', until });
    const first = list(provider);
    await csp.arrived('list', 1);
    const abort = new AbortController();
    const queued = failureOf(remove(provider, 'one', abort.signal));
    abort.abort();
    expect((await queued).kind).toBe('aborted');
    release();
    await first;
    await list(provider);
    expect(csp.calls.map((call) => call.operation)).toEqual(['list', 'list']);
  });

  it('a signal that is aborted already, or by its own time-out, is an abort', async () => {
    const { csp, provider } = await setUp({ readTimeoutMs: 60_000 });
    expect((await failureOf(list(provider, AbortSignal.abort('no reason')))).kind).toBe('aborted');
    expect(csp.calls).toHaveLength(0);
    csp.faults.add('list', { kind: 'hang' });
    expect((await failureOf(list(provider, AbortSignal.timeout(20)))).kind).toBe('aborted');
  });

  it('close ends what is under way, may be called again, and later calls are refused', async () => {
    const { csp, provider } = await setUp({ readTimeoutMs: 60_000 });
    csp.faults.add('list', { kind: 'hang' });
    const call = failureOf(list(provider));
    await csp.arrived('list', 1);
    await provider.close();
    await provider.close();
    expect((await call).kind).toBe('aborted');
    expect((await failureOf(list(provider))).kind).toBe('aborted');
  });
});

describe('Retry-After', () => {
  const at = 'Wed, 21 Oct 2026 07:28:00 GMT';
  it.each<[string, Record<string, string>, number | undefined]>([
    ['seconds', { 'retry-after': '120' }, 120_000],
    ['zero', { 'retry-after': '0' }, 0],
    [
      "a date, counted from the answer's own",
      { 'retry-after': 'Wed, 21 Oct 2026 07:28:30 GMT', date: at },
      30_000,
    ],
    ['a date in the old form', { 'retry-after': 'Wednesday, 21-Oct-26 07:28:30 GMT', date: at }, 30_000],
    ['a date that has passed', { 'retry-after': 'Wed, 21 Oct 2026 07:27:00 GMT', date: at }, 0],
    ['a day at most', { 'retry-after': '99999999999' }, 86_400_000],
    ['a negative number', { 'retry-after': '-1' }, undefined],
    ['a fraction', { 'retry-after': '1.5' }, undefined],
    ['nonsense', { 'retry-after': 'Soon, GMT' }, undefined],
    ['absent', {}, undefined],
  ])('%s', async (_, headers, retryAfterMs) => {
    const { csp, provider } = await setUp();
    csp.faults.add('list', { kind: 'respond', status: 429, headers });
    expect(await failureOf(list(provider))).toMatchObject({
      kind: 'rate_limited',
      status: 429,
      retryAfterMs,
    });
  });

  it("a date without the answer's own counts from now", async () => {
    const inAMinute = new Date(Date.now() + 60_000).toUTCString();
    const port = await rawServer((socket) =>
      socket.once('data', () =>
        socket.end(`HTTP/1.1 429 Slow\r\nretry-after: ${inAMinute}\r\ncontent-length: 0\r\n\r\n`),
      ),
    );
    const { retryAfterMs } = await failureOf(list(provide({ baseUrl: `http://127.0.0.1:${port}` })));
    expect(retryAfterMs).toBeGreaterThan(50_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });
});

describe('headers', () => {
  it('sends the token, asks for JSON, and passes the correlation id of each call on', async () => {
    let correlationId: string | undefined = 'corr-1';
    const { csp, provider } = await setUp({ correlationId: () => correlationId });
    await list(provider);
    correlationId = 'corr-2';
    await remove(provider, 'one');
    correlationId = undefined;
    await list(provider);
    correlationId = 'not\r\na header';
    await list(provider);
    expect(csp.calls.map((call) => call.correlationId)).toEqual(['corr-1', 'corr-2', undefined, undefined]);
    expect(csp.calls.map((call) => call.accept)).toEqual(Array(4).fill('application/json'));
  });

  it('a wrong token is told from other refusals', async () => {
    const { provider } = await setUp({ token: 'another-token' });
    expect(await failureOf(list(provider))).toMatchObject({ kind: 'unauthorized', status: 401 });
    expect(await failureOf(remove(provider, 'one'))).toMatchObject({ kind: 'unauthorized', status: 401 });
  });
});

it('no error shows the token or the body, even when CSP echoes them', async () => {
  const { csp, provider } = await setUp({ readTimeoutMs: 300 });
  const body = `<p>SECRET-BODY Authorization: Token ${TOKEN}`;
  const faults: FakeFault[] = [
    ...[200, 302, 400, 401, 429, 500].map((status): FakeFault => ({ kind: 'respond', status, body })),
    { kind: 'respond', status: 200, body: `"${TOKEN} SECRET-BODY"` },
    { kind: 'respond', status: 200, body: `{"results":["${TOKEN} SECRET-BODY"]}` },
    { kind: 'respond', status: 200, body, headers: { 'content-type': `text/${TOKEN}` } },
    json({ results: [], next: `http://elsewhere/${TOKEN}` }),
    { kind: 'cut' },
    { kind: 'stall' },
    { kind: 'lost' },
    { kind: 'hang' },
  ];
  const errors: ProviderError[] = [];
  for (const fault of faults) {
    csp.faults.add('list', fault);
    errors.push(await failureOf(list(provider)));
  }
  const port = await rawServer((socket) =>
    socket.once('data', () => socket.end(`SECRET-BODY Token ${TOKEN}\r\n\r\n`)),
  );
  errors.push(await failureOf(list(provide({ baseUrl: `http://127.0.0.1:${port}` }))));
  errors.push(await failureOf(list(provider, AbortSignal.abort())));
  await csp.close();
  errors.push(await failureOf(list(provider)));

  for (const error of errors) {
    const shown = `${inspect(error, { depth: 20, showHidden: true })} ${JSON.stringify(error)} ${error.stack}`;
    expect(shown).not.toContain(TOKEN);
    expect(shown).not.toContain('SECRET-BODY');
  }
});

it('tells the observer how each call ended and how long it took, once per call', async () => {
  const seen: unknown[] = [];
  const { csp, provider } = await setUp({
    observe: (operation, outcome, seconds) => {
      seen.push([operation, outcome]);
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThan(10);
    },
  });
  csp.settings.pageSize = 1;
  const [one] = csp.add(account(), account());
  await list(provider);
  await remove(provider, one?.id);
  await remove(provider, one?.id);
  await failureOf(remove(provider, ''));
  csp.faults.add('list', { kind: 'respond', status: 429 });
  await failureOf(list(provider));
  expect(seen).toEqual([
    ['list', 'success'],
    ['delete', 'success'],
    ['delete', 'success'],
    ['delete', 'rejected'],
    ['list', 'rate_limited'],
  ]);
});

describe('options that cannot work are refused at once', () => {
  it.each<[string, Partial<CspProviderOptions>]>([
    ['baseUrl', { baseUrl: 'csp.example.com' }],
    ['baseUrl', { baseUrl: 'ftp://csp.example.com' }],
    ['baseUrl', { baseUrl: 'https://csp.example.com/?x=1' }],
    ['baseUrl', { baseUrl: `https://user:${TOKEN}@csp.example.com` }],
    ['token', { token: '' }],
    ['token', { token: `${TOKEN}\r\nx: y` }],
    ['connectTimeoutMs', { connectTimeoutMs: 0 }],
    ['readTimeoutMs', { readTimeoutMs: Number.NaN }],
    ['connections', { connections: 0 }],
    ['maxBodyBytes', { maxBodyBytes: 0.5 }],
  ])('%s (%o)', (name, options) => {
    let error: unknown;
    try {
      provide({ baseUrl: 'http://127.0.0.1:1', ...options });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(RangeError);
    expect(inspect(error)).toContain(name);
    expect(inspect(error)).not.toContain(TOKEN);
  });
});
