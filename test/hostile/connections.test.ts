import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { startApp, type TestApp } from '../support/broker/http-app.ts';
import { exchangeProblems } from './judge-answer.ts';
import { type ExchangeOptions, exchange } from './raw-http.ts';

const SEED = Number(process.env['FUZZ_SEED'] ?? 20_261_121);
/** What Node allows a client for headers and for the whole request, here; the real ones are in `HTTP_LIMITS`. */
const SLOW_MS = 100;

const TRACK = ['Host: broker', 'Authorization: Bearer track-token-for-tests', 'X-Track-ID: holder-1'];
const request = (line: string, headers: readonly string[] = [], body = ''): string =>
  `${[`${line} HTTP/1.1`, ...TRACK, ...headers].join('\r\n')}\r\n\r\n${body}`;
const LAST = 'Connection: close';

async function impatientApp(): Promise<TestApp> {
  const app = await startApp();
  app.app.server.headersTimeout = SLOW_MS;
  app.app.server.requestTimeout = SLOW_MS;
  return app;
}

/** Sends it, holds what comes back to the rules, and gives the statuses. */
async function statusesOf(app: TestApp, options: ExchangeOptions): Promise<number[]> {
  const given = await exchange(app.port, options);
  expect(exchangeProblems(given, options.methods)).toEqual([]);
  return given.answers.map(({ status }) => status);
}

/** No socket is left, and the next caller is served. */
async function expectUnharmed(app: TestApp): Promise<void> {
  expect(await statusesOf(app, { parts: [request('POST /v1/allocate', [LAST])] })).toEqual([201]);
  await expect
    .poll(() => new Promise((resolve) => app.app.server.getConnections((_, count) => resolve(count))))
    .toBe(0);
}

describe('a client that is slow', () => {
  const length = (bytes: number) => ['Content-Type: application/json', `Content-Length: ${bytes}`];
  const chunked = ['Content-Type: application/json', 'Transfer-Encoding: chunked'];
  const STOPS: [where: string, sent: string][] = [
    ['before the first byte', ''],
    ['in the request line', 'POST /v1/allo'],
    ['in a header', 'POST /v1/allocate HTTP/1.1\r\nHost: bro'],
    ['before its body', request('POST /v1/allocate', length(2))],
    ['in its body', request('POST /v1/allocate', length(10), '{')],
    ['in the size of a chunk', request('POST /v1/allocate', chunked, '1')],
    ['in a chunk', request('POST /v1/allocate', chunked, '8\r\n{')],
    ['before the last chunk', request('POST /v1/allocate', chunked, '2\r\n{}\r\n')],
    ['in the trailers', request('POST /v1/allocate', chunked, '2\r\n{}\r\n0\r\nX-Trailer: ')],
  ];

  test('gets its refusal and the end of its connection, wherever it stops', async () => {
    const app = await impatientApp();
    // All at once: each waits for the server to look around.
    const all = await Promise.all(
      STOPS.map(async ([where, sent]) => [where, ...(await statusesOf(app, { parts: [sent] }))]),
    );
    expect(all).toEqual(STOPS.map(([where]) => [where, 408]));
    await expectUnharmed(app);
  });

  test('and one that sends a byte at a time are not in each other’s way', async () => {
    const app = await startApp();
    const bytes = request('POST /v1/allocate', [...length(2), LAST], '{}');
    const all = await Promise.all(Array.from({ length: 20 }, () => statusesOf(app, { parts: [...bytes] })));
    expect(all.flat()).toEqual(Array(20).fill(201));
    await expectUnharmed(app);
  });
});

describe('requests one behind the other on a connection', () => {
  test('are answered each with its own answer, in their order', async () => {
    const app = await startApp();
    const paths = ['/healthz', '/nothing', '/v1/admin/stats', '/healthz', '/%ff', '/v1/docs/json'];
    const parts = [...paths.map((path) => request(`GET ${path}`)), request('GET /', [LAST])];
    expect(await statusesOf(app, { parts: [parts.join('')] })).toEqual([200, 404, 403, 200, 400, 200, 200]);
  });

  test('two hundred of them are answered, and hold nobody up', async () => {
    const app = await startApp();
    const parts = Array.from({ length: 200 }, (_, index) =>
      request('GET /healthz', index === 199 ? [LAST] : []),
    );
    const [pipelined, other] = await Promise.all([
      statusesOf(app, { parts: [parts.join('')] }),
      statusesOf(app, { parts: [request('POST /v1/allocate', [LAST])] }),
    ]);
    expect(pipelined).toEqual(Array(200).fill(200));
    expect(other).toEqual([201]);
  });

  /** Ways to hide a request in another one's body: what a proxy in front takes for a body must be one here. */
  const HIDDEN = request('GET /v1/admin/stats', [LAST]);
  test.each<[string, string[], string]>([
    [
      'a length and chunks',
      [`Content-Length: ${HIDDEN.length + 5}`, 'Transfer-Encoding: chunked'],
      '0\r\n\r\n',
    ],
    [
      'chunks and a length',
      ['Transfer-Encoding: chunked', `Content-Length: ${HIDDEN.length + 5}`],
      '0\r\n\r\n',
    ],
    ['two lengths', ['Content-Length: 0', `Content-Length: ${HIDDEN.length}`], ''],
    ['a list of lengths', [`Content-Length: 0, ${HIDDEN.length}`], ''],
    ['a signed length', ['Content-Length: +0'], ''],
    ['a length in hexadecimal', ['Content-Length: 0x0'], ''],
    ['a coding nobody knows', ['Transfer-Encoding: xchunked'], '0\r\n\r\n'],
    ['chunks that are not the last coding', ['Transfer-Encoding: chunked, identity'], '0\r\n\r\n'],
    ['a space before the colon', ['Transfer-Encoding : chunked'], '0\r\n\r\n'],
    ['a folded header', ['Transfer-Encoding:', ' chunked'], '0\r\n\r\n'],
    ['a chunk with a bare line feed', ['Transfer-Encoding: chunked'], '0\n\n'],
    ['a chunk of negative size', ['Transfer-Encoding: chunked'], '-1\r\n\r\n'],
    ['a chunk of a size beyond numbers', ['Transfer-Encoding: chunked'], 'fffffffffffffffff\r\n'],
  ])('are not smuggled in by %s', async (_name, headers, body) => {
    const app = await startApp();
    expect(await statusesOf(app, { parts: [request('POST /v1/allocate', headers, body) + HIDDEN] })).toEqual([
      400,
    ]);
    await expectUnharmed(app);
  });
});

describe('a client that breaks off', () => {
  test.each([
    ['with FIN', true],
    ['and reads on', false],
  ])('anywhere in a request leaves nothing behind: %s', async (_name, halfClose) => {
    const app = await impatientApp();
    const whole = request('POST /v1/allocate', ['Content-Type: application/json', 'Content-Length: 2'], '{}');
    const cuts = fc.sample(fc.nat(whole.length - 1), { seed: SEED, numRuns: 40 });
    const all = await Promise.all(
      cuts.map((cut) => statusesOf(app, { parts: [whole.slice(0, cut)], halfClose })),
    );
    // With FIN Node takes the client for gone, or its bytes for no request.
    for (const statuses of all) expect(halfClose ? [[], [400]] : [[408]]).toContainEqual(statuses);
    await expectUnharmed(app);
  });

  test('after its request, again and again, leaves no socket', async () => {
    const app = await startApp();
    const { port } = app.app.server.address() as AddressInfo;
    const left = Array.from({ length: 100 }, () =>
      exchange(port, { parts: [request('POST /v1/allocate')], halfClose: true }),
    );
    for (const given of await Promise.all(left)) expect(exchangeProblems(given)).toEqual([]);
    await expectUnharmed(app);
  });
});

test('bytes that are no UTF-8 are text like any other, in every header that means something', async () => {
  const app = await startApp();
  for (const header of [
    'X-Sandbox-Name-Prefix',
    'X-Instruqt-Track-ID',
    'Idempotency-Key',
    'X-Correlation-ID',
  ]) {
    const parts = [request('POST /v1/allocate', [`${header}: caf\xe9\xff`, LAST])];
    const [status] = await statusesOf(app, { parts });
    expect([200, 201, 400, 409], header).toContain(status);
  }
  await expectUnharmed(app);
});

test('noise in any amount is refused or left, never served', async () => {
  const app = await impatientApp();
  const noise = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 2_000 }),
    fc
      .tuple(fc.nat(120), fc.uint8Array({ minLength: 1, maxLength: 8 }))
      .map(([at, bytes]) =>
        Buffer.from(request('GET /v1/admin/sync', [LAST])).fill(bytes, at, at + bytes.length),
      ),
  );
  const samples = fc.sample(noise, { seed: SEED, numRuns: 120 });
  const all = await Promise.all(samples.map((bytes) => statusesOf(app, { parts: [Buffer.from(bytes)] })));
  expect(all.flat().filter((status) => status < 400)).toEqual([]);
  expect(all.flat().length).toBeGreaterThan(100);
  await expectUnharmed(app);
});
