import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../until.ts';
import { describeOnEngines } from './engines.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { keyValueTable } from './key-value-table.ts';
import { responseIsComplete } from './response-is-complete.ts';

/** How long a test looks at something that must not happen. */
const WATCHED_MS = 150;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe('the fault proxy', () => {
  let received: string[];
  /** Of these the upstream has sent the last byte, with the connection still there. */
  let answered: string[];
  let proxy: FaultProxy;
  let agent: Agent;

  beforeEach(async () => {
    received = [];
    answered = [];
    const upstream = createServer((incoming, response) => {
      const path = incoming.url ?? '';
      received.push(path);
      response.on('finish', () => {
        if (!incoming.socket.destroyed) answered.push(path);
      });
      incoming.resume().on('end', () => {
        if (path === '/empty') response.writeHead(204).end();
        else if (path === '/until-close') response.writeHead(200, { connection: 'close' }).end('all');
        else response.write('first half, ', () => setTimeout(() => response.end('second half'), 20));
      });
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    proxy = await startFaultProxy({ host: '127.0.0.1', port: (upstream.address() as AddressInfo).port });
    agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanups.push(
      () => upstream.close(),
      () => upstream.closeAllConnections(),
      () => proxy.close(),
      () => agent.destroy(),
    );
  });

  async function call(path: string): Promise<string> {
    const outgoing = request(`${proxy.endpoint}${path}`, { method: 'POST', agent });
    const responded = once(outgoing, 'response');
    outgoing.end('a body');
    const [response] = (await responded) as [IncomingMessage];
    let body = '';
    for await (const chunk of response.setEncoding('utf8')) body += chunk;
    return body;
  }

  async function failureOf(calling: Promise<unknown>): Promise<unknown> {
    return calling.then(
      () => 'answered',
      (error: NodeJS.ErrnoException) => error.code,
    );
  }

  test('passes everything, many requests over one kept connection', async () => {
    for (let index = 0; index < 5; index += 1)
      expect(await call(`/${index}`)).toBe('first half, second half');
    expect(await call('/empty')).toBe('');
    expect(await call('/after')).toBe('first half, second half');
    expect(proxy.liveConnections).toBe(1);
  });

  test('refuses connections, and takes them again on the same port', async () => {
    await proxy.behave({ kind: 'refuse' });
    expect(await failureOf(call('/refused'))).toBe('ECONNREFUSED');
    await proxy.behave({ kind: 'pass' });
    expect(await call('/taken')).toBe('first half, second half');
    expect(received).toEqual(['/taken']);
  });

  test('leaves live connections alone while it refuses new ones', async () => {
    await call('/before');
    await proxy.behave({ kind: 'refuse' });
    expect(await call('/on-the-live-one')).toBe('first half, second half');
  });

  test('cuts live connections in the middle of a request', async () => {
    await proxy.behave({ kind: 'black_hole' });
    const failure = failureOf(call('/cut'));
    await until(() => proxy.liveConnections === 1, { what: 'the connection is there' });
    proxy.cutConnections();
    expect(await failure).toBe('ECONNRESET');
    await until(() => proxy.liveConnections === 0, { what: 'the connection is gone' });
  });

  test('delays bytes in both directions, until told otherwise', async () => {
    await call('/connected');
    await proxy.behave({ kind: 'delay', delayMs: 100 });
    const startedMs = performance.now();
    expect(await call('/late')).toBe('first half, second half');
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(200);
    await proxy.behave({ kind: 'pass' });
    const passedMs = performance.now();
    await call('/soon');
    expect(performance.now() - passedMs).toBeLessThan(200);
  });

  test('as a black hole accepts and answers nothing, and nothing arrives upstream', async () => {
    await proxy.behave({ kind: 'black_hole' });
    const failure = failureOf(call('/lost'));
    expect(await Promise.race([failure, delay(WATCHED_MS, 'silence')])).toBe('silence');
    expect(proxy.liveConnections).toBe(1);
    expect(received).toEqual([]);
    // What was lost stays lost: a test can count on the request never being delivered late.
    await proxy.behave({ kind: 'pass' });
    expect(await Promise.race([failure, delay(WATCHED_MS, 'silence')])).toBe('silence');
    proxy.cutConnections();
    expect(await failure).toBe('ECONNRESET');
    expect(await call('/after')).toBe('first half, second half');
    expect(received).toEqual(['/after']);
  });

  test('a live connection falls into the black hole too', async () => {
    await call('/before');
    await proxy.behave({ kind: 'black_hole' });
    const failure = failureOf(call('/lost'));
    expect(await Promise.race([failure, delay(WATCHED_MS, 'silence')])).toBe('silence');
    expect(received).toEqual(['/before']);
    proxy.cutConnections();
    await failure;
  });

  test.each(['/chunked', '/empty', '/until-close'])('swallows the response to %s', async (path) => {
    await call('/before');
    proxy.swallowResponses(1);
    expect(await failureOf(call(path))).toBe('ECONNRESET');
    expect(answered).toEqual(['/before', path]);
    expect(proxy.swallowedResponses).toBe(1);
    expect(await call('/after')).toBe('first half, second half');
    expect(received).toEqual(['/before', path, '/after']);
  });

  test('swallows the responses of matching requests only, and of so many', async () => {
    proxy.swallowResponses(2, /^POST \/lease /);
    expect(await call('/other')).toBe('first half, second half');
    expect(await failureOf(call('/lease'))).toBe('ECONNRESET');
    expect(await call('/other')).toBe('first half, second half');
    expect(await failureOf(call('/lease'))).toBe('ECONNRESET');
    expect(await call('/lease')).toBe('first half, second half');
    expect(proxy.swallowedResponses).toBe(2);
  });

  test('closes with requests under way and leaves no handle', async () => {
    const handles = () =>
      process.getActiveResourcesInfo().filter((name) => /^TCP|^Timeout/.test(name)).length;
    const before = handles();
    const other = await startFaultProxy({ host: '127.0.0.1', port: proxy.port });
    await other.behave({ kind: 'delay', delayMs: 60_000 });
    const outgoing = request(other.endpoint, { agent: false });
    const failed = once(outgoing, 'error');
    outgoing.end();
    await until(() => other.liveConnections === 1, { what: 'the connection is there' });
    await other.close();
    await failed;
    await until(() => handles() <= before, { what: 'all handles are released' });
    await other.close();
  });
});

describeOnEngines('a response lost after the commit', (engine) => {
  test('fails at the client, and what it wrote is there', async () => {
    const { hostname, port } = new URL(engine.endpoint);
    const proxy = await startFaultProxy({ host: hostname, port: Number(port) });
    const name = `lost-response-${crypto.randomUUID()}`;
    const direct = keyValueTable(engine.endpoint, name);
    const proxied = keyValueTable(proxy.endpoint, name);
    cleanups.push(
      () => proxy.close(),
      () => proxied.close(),
      () => direct.close(),
    );
    await direct.create();
    await proxied.put('before', 'acknowledged');

    proxy.swallowResponses(1, /x-amz-target: DynamoDB_20120810\.PutItem/i);
    await expect(proxied.put('lease', 'committed')).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await direct.get('lease')).toBe('committed');
    expect(await proxied.get('before')).toBe('acknowledged');
  });
});

describe('the end of a response', () => {
  test.each([
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'],
    ['no body', 'HTTP/1.1 204 No Content\r\n\r\n'],
    [
      'chunks',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n',
    ],
    [
      'an empty line inside a chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n0\r\n\r\nx\r\n0\r\n\r\n',
    ],
    [
      'an interim response first',
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
    ],
  ])('with %s is seen at its last byte and not before', (_what, text) => {
    const bytes = Buffer.from(text);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(responseIsComplete(bytes.subarray(0, length))).toBe(false);
    }
    expect(responseIsComplete(bytes)).toBe(true);
  });
});
