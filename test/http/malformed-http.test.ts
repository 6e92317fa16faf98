import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { HTTP_LIMITS } from '../../src/http/limits.ts';
import { startApp } from '../support/broker/http-app.ts';

interface RawAnswer {
  status: number;
  headers: Record<string, string>;
  json: { error: { code: string; message: string; request_id: string } };
}

/** The only answer in what came back over a connection. */
function parse(received: string): RawAnswer {
  const [head = '', body = ''] = received.split('\r\n\r\n');
  const [statusLine = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  expect(Number(headers['content-length'])).toBe(Buffer.byteLength(body));
  return { status: Number(statusLine.split(' ')[1]), headers, json: JSON.parse(body) };
}

function expectRefusal(received: string, status: number, code: string): void {
  const answer = parse(received);
  expect(answer.status).toBe(status);
  expect(answer.json.error).toMatchObject({ code, message: expect.stringMatching(/\.$/) });
  expect(answer.headers['x-request-id']).toBe(answer.json.error.request_id);
  expect(answer.headers['x-correlation-id']).toBeTruthy();
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
  expect(answer.headers['connection']).toBe('close');
}

const request = (...lines: string[]): string => `${lines.join('\r\n')}\r\n\r\n`;

describe('what is no HTTP gets an answer in the form of every error, and the connection is closed', () => {
  test.each([
    ['noise', 'hello\r\n\r\n'],
    ['TLS', Buffer.from('16030100a5010000a10303', 'hex')],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a header without a colon', request('GET / HTTP/1.1', 'Host: broker', 'nonsense')],
    ['a NUL in a header', request('GET / HTTP/1.1', 'Host: broker', 'X-Track-ID: a\0b')],
    ['a folded header', request('GET / HTTP/1.1', 'Host: broker', 'X-Track-ID: a', '\tb')],
    [
      'a bare carriage return in a header',
      request('GET / HTTP/1.1', 'Host: broker', 'X-Track-ID: a\rX-Evil: b'),
    ],
    ['two lengths', request('POST / HTTP/1.1', 'Host: broker', 'Content-Length: 1', 'Content-Length: 2')],
    [
      'a length and chunks',
      request('POST / HTTP/1.1', 'Host: broker', 'Content-Length: 1', 'Transfer-Encoding: chunked'),
    ],
    ['a length that is no number', request('POST / HTTP/1.1', 'Host: broker', 'Content-Length: -1')],
    ['an encoding nobody knows', request('POST / HTTP/1.1', 'Host: broker', 'Transfer-Encoding: xchunked')],
    ['a space in the URL', request('GET /a b HTTP/1.1', 'Host: broker')],
  ])('%s is 400', async (_name, bytes) => {
    const { raw } = await startApp();
    expectRefusal(await raw(bytes), 400, 'INVALID_REQUEST');
  });

  test.each([
    ['10 KB in one header', 1],
    ['10 KB in many', 100],
  ])('%s are 431', async (_name, count) => {
    const { raw } = await startApp();
    const lines = Array.from(
      { length: count },
      (_, index) => `X-Filler-${index}: ${'x'.repeat(10_000 / count)}`,
    );
    expectRefusal(
      await raw(request('GET /healthz HTTP/1.1', 'Host: broker', ...lines)),
      431,
      'HEADERS_TOO_LARGE',
    );
  });

  test('six megabytes of headers are 431, and a client that first sends them all reads it', async () => {
    const { sendThenRead } = await startApp();
    const filler = `X-Filler: ${'x'.repeat(60_000)}\r\n`;
    const received = await sendThenRead(`GET /healthz HTTP/1.1\r\nHost: broker\r\n${filler.repeat(100)}`);
    expectRefusal(received, 431, 'HEADERS_TOO_LARGE');
  });

  test('CONNECT is 405', async () => {
    const { raw } = await startApp();
    const received = await raw(request('CONNECT example.org:443 HTTP/1.1', 'Host: example.org'));
    expectRefusal(received, 405, 'METHOD_NOT_ALLOWED');
  });

  test('headers that come too slowly are 408', async () => {
    const { app, raw } = await startApp();
    app.server.headersTimeout = 50;
    expectRefusal(await raw('GET /healthz HTTP/1.1\r\nHost: bro'), 408, 'REQUEST_TIMEOUT');
  });

  test('a body that comes too slowly is 408', async () => {
    const { app, raw } = await startApp();
    app.server.headersTimeout = 50;
    app.server.requestTimeout = 50;
    const received = await raw(
      request(
        'POST /v1/allocate HTTP/1.1',
        'Host: broker',
        'Authorization: Bearer track-token-for-tests',
        'Content-Type: application/json',
        'Content-Length: 10',
      ),
      '{',
    );
    expectRefusal(received, 408, 'REQUEST_TIMEOUT');
  });

  test('is logged with the id of the answer', async () => {
    const { raw, logged } = await startApp();
    const { json } = parse(await raw('hello\r\n\r\n'));
    const line = await logged((entry) => entry['error_code'] === 'INVALID_REQUEST');
    expect(line).toMatchObject({
      level: 'info',
      request_id: json.error.request_id,
      parser_code: expect.any(String),
    });
  });

  test('does not land in the middle of an answer that has begun', async () => {
    const { connect } = await startApp();
    const socket = await connect();
    // Larger than what the sockets hold, so that the answer is still under way when the noise arrives.
    socket.write(request('GET /v1/docs/static/swagger-ui-bundle.js HTTP/1.1', 'Host: broker'));
    await once(socket, 'readable');
    socket.write('nonsense\r\n\r\n');
    let received = '';
    socket.on('data', (data) => {
      received += data.toString('latin1');
    });
    await new Promise((resolve) => socket.on('close', resolve));
    expect(received).toMatch(/^HTTP\/1\.1 200 /);
    expect(received.indexOf('HTTP/1.1 400', 1)).toBe(-1);
  });
});

describe('what is HTTP, but strange', () => {
  test('no Host is 400', async () => {
    const { raw } = await startApp();
    const answer = parse(await raw(request('GET / HTTP/1.1', 'Connection: close')));
    expect(answer.status).toBe(400);
    expect(answer.json.error.message).toBe('Header Host is missing.');
  });

  test('HTTP/1.0 needs no Host', async () => {
    const { raw } = await startApp();
    expect(parse(await raw(request('GET /healthz HTTP/1.0'))).status).toBe(200);
  });

  test('two Hosts are 400', async () => {
    const { raw } = await startApp();
    const received = await raw(request('GET / HTTP/1.1', 'Host: a', 'Host: b', 'Connection: close'));
    expect(parse(received).json.error.message).toBe('Header Host must be given once.');
  });

  test('the absolute form of a URL is understood', async () => {
    const { raw } = await startApp();
    const received = await raw(
      request('GET http://broker/healthz?a=b HTTP/1.1', 'Host: broker', 'Connection: close'),
    );
    expect(parse(received).status).toBe(200);
  });

  test('OPTIONS * is 400', async () => {
    const { raw } = await startApp();
    const received = await raw(request('OPTIONS * HTTP/1.1', 'Host: broker', 'Connection: close'));
    expect(parse(received).status).toBe(400);
  });

  test('a wish to speak something else is ignored', async () => {
    const { raw } = await startApp();
    const received = await raw(
      request('GET /healthz HTTP/1.1', 'Host: broker', 'Connection: close, Upgrade', 'Upgrade: websocket'),
    );
    expect(parse(received).status).toBe(200);
  });
});

test('the limits are those the server has', async () => {
  const { app } = await startApp();
  expect(app.server).toMatchObject({
    headersTimeout: HTTP_LIMITS.headersTimeoutMs,
    requestTimeout: HTTP_LIMITS.requestTimeoutMs,
    keepAliveTimeout: HTTP_LIMITS.keepAliveTimeoutMs,
    maxHeaderSize: HTTP_LIMITS.headersBytes,
  });
});
