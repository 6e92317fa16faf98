import { expect, test } from 'vitest';
import { type BrokerOptions, createBroker, type InLine } from '../../src/client/index.ts';
import { type BrokerHere, startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { startFront } from './front.ts';

/** A call of who waits may last a second. */
const QUICK = { attemptTimeoutMs: 1_300 };

describeOnFastEngine('a client that waits in line', ({ endpoint }) => {
  const clientOf = (url: string, holder: string, more: Partial<BrokerOptions> = {}) =>
    createBroker({ url, token: 'dev-track-token', holder, ...QUICK, ...more });

  /** A broker whose only sandbox ada has. */
  async function startFull() {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    return { here, only: await clientOf(here.url, 'ada').allocate() };
  }

  const holdersInLine = async (here: BrokerHere) => {
    const { json } = await here.asAdmin('GET', '/v1/admin/line');
    return (json['places'] as { holder: string }[]).map(({ holder }) => holder);
  };

  test('is told its place over as many calls as it takes, and served in its turn', async () => {
    const { here, only } = await startFull();
    const told: InLine[] = [];
    const bob = clientOf(here.url, 'bob').allocate({
      wait: 60,
      onPosition: (place) => void told.push(place),
    });
    await expect.poll(() => told.length, { timeout: 20_000 }).toBeGreaterThan(1);
    const urgent = clientOf(here.url, 'urgent').allocate({ wait: 60, priority: 1 });
    await expect.poll(() => told.at(-1)?.position, { timeout: 20_000 }).toBe(2);
    expect(new Set(told.map(({ ticket_id }) => ticket_id)).size).toBe(1);
    await only.release();
    await here.asAdmin('POST', '/v1/admin/cleanup');
    const first = await urgent;
    expect(first).toMatchObject({ sandbox_id: only.sandbox_id, replayed: false });
    await first.release();
    await here.asAdmin('POST', '/v1/admin/cleanup');
    expect(await bob).toMatchObject({ sandbox_id: only.sandbox_id, replayed: false });
  });

  test('leaves the line with its signal, and when it has waited long enough', async () => {
    const { here } = await startFull();
    const giveUp = new AbortController();
    const bob = clientOf(here.url, 'bob').allocate({ wait: 60, signal: giveUp.signal });
    // It has not been told of its place as yet.
    await expect.poll(() => holdersInLine(here)).toEqual(['bob']);
    giveUp.abort(new Error('enough'));
    await expect(bob).rejects.toThrow('enough');
    await expect.poll(() => holdersInLine(here)).toEqual([]);

    const cyd = clientOf(here.url, 'cyd').allocate({ wait: 0.5 });
    await expect(cyd).rejects.toMatchObject({ code: 'NO_SANDBOXES_AVAILABLE', message: /place 1 of 1/ });
    await expect.poll(() => holdersInLine(here)).toEqual([]);
  });

  test('asks again when it is told to, and joins anew where its place was lost', async () => {
    const { here, only } = await startFull();
    const front = await startFront(here.url);
    const place = { status: 'waiting', ticket_id: 't', position: 1, waiting: 1, eta_seconds: null };
    const headers = { 'content-type': 'application/json', 'retry-after': '1' };
    const lost = { error: { code: 'PLACE_LOST', message: 'gone', request_id: 'r' } };
    front.answer(
      { status: 202, headers, body: JSON.stringify(place) },
      { status: 409, headers: { ...headers, 'retry-after': '0' }, body: JSON.stringify(lost) },
    );
    await only.release();
    await here.asAdmin('POST', '/v1/admin/cleanup');
    const startedMs = performance.now();
    const bob = await clientOf(front.url, 'bob').allocate({ wait: 60 });
    expect(bob.sandbox_id).toBe(only.sandbox_id);
    expect(front.seen.map(({ line }) => line)).toEqual(Array(3).fill('POST /v1/allocate'));
    expect(new Set(front.seen.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
    expect(performance.now() - startedMs).toBeGreaterThan(1_000);
  });
});
