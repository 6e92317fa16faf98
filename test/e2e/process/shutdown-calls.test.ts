import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  ADMIN_TOKEN,
  type BrokerProcess,
  PROCESS_TIMES,
  startBroker,
  TRACK_TOKEN,
} from '../../support/broker/broker-process.ts';
import { until } from '../../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const CALLS = 200;
const POOL = 150;
/** Much longer than any of these shutdowns takes, and shorter than the one that would wait for a silent connection. */
const SOON_MS = 20_000;

async function connected(broker: BrokerProcess): Promise<Socket> {
  const socket = connect({ port: Number(new URL(broker.url).port), host: '127.0.0.1' });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** What comes back until the broker ends the connection; `reset` where it was cut off. */
function answerOn(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk;
    });
    socket.once('error', () => resolve('reset'));
    socket.once('end', () => resolve(text));
  });
}

const allocateAs = (holder: string): string =>
  `POST /v1/allocate HTTP/1.1\r\nHost: broker\r\nAuthorization: Bearer ${TRACK_TOKEN}\r\nX-Track-ID: ${holder}\r\nContent-Length: 0\r\n\r\n`;

const statusOf = (answer: string): string => /^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? answer;

describe('a broker that is told to end, without a drain', () => {
  test('answers every call that was sent before, on new connections and on kept ones', async () => {
    const broker = await startBroker({
      env: { SANDBOX_DB_URL: 'memory:', SHUTDOWN_DRAIN_MS: '0', SIMULATED_POOL_SIZE: String(POOL) },
    });
    await broker.logged('a pool to lease from', ({ created }) => created === POOL);
    const kept = await Promise.all(Array.from({ length: CALLS / 2 }, () => connected(broker)));
    for (const socket of kept) socket.write('GET /healthz HTTP/1.1\r\nHost: broker\r\n\r\n');
    await Promise.all(kept.map((socket) => once(socket, 'data')));

    // The broker does not run while these arrive: all of them wait in the kernel when it sees the signal.
    process.kill(broker.pid, 'SIGSTOP');
    const fresh = await Promise.all(Array.from({ length: CALLS / 2 }, () => connected(broker)));
    const sockets = [...kept, ...fresh];
    const answers = sockets.map(answerOn);
    for (const [n, socket] of sockets.entries()) socket.write(allocateAs(`student-${n}`));
    const exit = broker.stop('SIGTERM');
    process.kill(broker.pid, 'SIGCONT');

    const told = await Promise.all(answers);
    const counts: Record<string, number> = {};
    for (const answer of told) counts[statusOf(answer)] = (counts[statusOf(answer)] ?? 0) + 1;
    expect(counts).toEqual({ 201: POOL, 409: CALLS - POOL });
    expect(told.filter((answer) => !/\r\nconnection: close\r\n/i.test(answer))).toEqual([]);
    expect(await exit).toEqual({ code: 0, signal: null });
  });

  test('waits neither for a connection that says nothing nor for half a request, and ends a stream', async () => {
    const broker = await startBroker({ env: { SANDBOX_DB_URL: 'memory:', SHUTDOWN_DRAIN_MS: '0' } });
    const [silent, half, stream] = await Promise.all([1, 2, 3].map(() => connected(broker)));
    if (!silent || !half || !stream) throw new Error('three were asked for');
    half.write(allocateAs('slow').slice(0, 40));
    const told = answerOn(stream);
    stream.write(
      `GET /v1/admin/stream HTTP/1.1\r\nHost: broker\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\n\r\n`,
    );
    await once(stream, 'data');
    const ended = Promise.all([silent, half].map((socket) => answerOn(socket)));
    const begunMs = performance.now();
    expect(await broker.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(performance.now() - begunMs).toBeLessThan(SOON_MS);
    expect(await told).toMatch(/event: hello[\s\S]*\r\n0\r\n\r\n$/);
    await ended;
  });
});

describe('calls that still wait when a shutdown has to end', () => {
  test('are answered 503, with a word when to come again', async () => {
    const broker = await startBroker({
      env: { SANDBOX_DB_URL: 'memory:', SHUTDOWN_TIMEOUT_MS: '8000', ALLOCATE_DEADLINE_MS: '8000' },
    });
    await broker.logged('a pool to lease from', ({ created }) => created === 20);
    const socket = await connected(broker);
    const told = answerOn(socket);
    // Its body never comes, so it waits for longer than the shutdown may.
    socket.write(
      allocateAs('slow').replace('Content-Length: 0', 'Content-Length: 2\r\nContent-Type: application/json'),
    );
    await until(async () => (await broker.call('GET', '/healthz')).status === 200, { what: 'it was read' });
    expect(await broker.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    const answer = await told;
    expect(statusOf(answer)).toBe('503');
    expect(answer).toMatch(/\r\nretry-after: 1\r\n/i);
    expect(answer).toMatch(/"code":"SHUTTING_DOWN"/);
  });
});
