import { describe, expect, test } from 'vitest';
import {
  type AllocateOptions,
  BrokerError,
  type BrokerOptions,
  createBroker,
} from '../../src/client/index.ts';
import { type BrokerHere, startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';
import { refusal, startFront } from './front.ts';

const TOKEN = 'dev-track-token';

const clientOf = ({ url }: { url: string }, more: Partial<BrokerOptions> = {}) =>
  createBroker({ url, token: TOKEN, holder: 'student-1', ...more });

const failureOf = async (call: Promise<unknown>): Promise<BrokerError> => {
  const error = await call.then(
    () => new Error('the call succeeded'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof BrokerError)) throw error;
  return error;
};

const countOf = async (here: BrokerHere, status: string): Promise<unknown> =>
  (await here.asAdmin('GET', `/v1/admin/sandboxes?status=${status}`)).json['count'];

describeOnFastEngine('the client', ({ endpoint }) => {
  test('leases a sandbox, sees it, and gives it back', async () => {
    const here = await startBrokerHere(endpoint);
    const broker = clientOf(here);
    const lease = await broker.allocate({ lab: 'Übung 1 – 日本', namePrefix: 'lab-' });
    expect(lease).toMatchObject({
      holder: 'student-1',
      replayed: false,
      name: expect.stringMatching(/^lab-/),
    });
    expect(await broker.get(lease.sandbox_id)).toMatchObject({
      status: 'allocated',
      allocated_to_track: 'student-1',
      track_name: 'Übung 1 – 日本',
    });
    expect(await broker.markForDeletion(lease.sandbox_id)).toMatchObject({ status: 'pending_deletion' });
    expect(await lease.release()).toMatchObject({ status: 'pending_deletion' });
  });

  test('leases several together, each a lease of its own, and gives them back at the end of a scope', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '4' });
    const broker = clientOf(here);
    {
      await using group = await broker.allocate({ count: 3, lab: 'intro', idempotencyKey: 'build-7' });
      expect(group).toMatchObject({ holder: 'student-1', replayed: false });
      expect(group.leases).toHaveLength(3);
      const [one, two] = group.leases;
      expect(await one?.release()).toMatchObject({ status: 'pending_deletion' });
      const { expires_at: before = 0 } = { ...two };
      await two?.extend(24 * 3_600);
      expect(two?.expires_at).toBeGreaterThan(before);
      const again = await broker.allocate({ count: 3, lab: 'intro', idempotencyKey: 'build-7' });
      expect(again.replayed).toBe(true);
      expect(again.leases.map(({ leaseOver }) => leaseOver)).toEqual([true, false, false]);
      expect(await countOf(here, 'allocated')).toBe(2);
    }
    expect(await countOf(here, 'allocated')).toBe(0);
    const over = await broker.allocate({ count: 3, lab: 'intro', idempotencyKey: 'build-7' });
    expect(over.leases.every(({ leaseOver }) => leaseOver)).toBe(true);
    expect(await over.release()).toEqual([]);
    expect(await failureOf(broker.allocate({ count: 5 }))).toMatchObject({ code: 'NO_SANDBOXES_AVAILABLE' });
  });

  test('reports a sandbox that is broken, and holds the one that it gets instead, or waits for it', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '2' });
    const broker = clientOf(here);
    const lease = await broker.allocate({ namePrefix: 'lab-', idempotencyKey: 'build-7' });
    const better = await lease.report('no network', { replace: true });
    expect(better).toMatchObject({ holder: 'student-1', replayed: false, leaseOver: false });
    expect(better?.sandbox_id).not.toBe(lease.sandbox_id);
    expect(await lease.release()).toMatchObject({ status: 'quarantined' });
    expect(await broker.get(String(better?.sandbox_id))).toMatchObject({ status: 'allocated' });
    const places: number[] = [];
    const waiting = better?.report('no disk', {
      replace: true,
      wait: 30,
      onPosition: ({ position }) => places.push(position),
    });
    await expect.poll(() => places.length).toBeGreaterThan(0);
    await here.asAdmin('POST', `/v1/admin/sandboxes/${lease.sandbox_id}/restore`);
    await here.asAdmin('POST', '/v1/admin/cleanup');
    expect(await waiting).toMatchObject({ sandbox_id: lease.sandbox_id });
    expect(places[0]).toBe(1);
    expect(await (await waiting)?.report('no memory')).toBeUndefined();
  });

  test('each call gets a sandbox of its own; the same key gets the same one, also from another client', async () => {
    const here = await startBrokerHere(endpoint);
    const broker = clientOf(here);
    const [one, other] = [await broker.allocate(), await broker.allocate()];
    expect(other.sandbox_id).not.toBe(one.sandbox_id);
    const options: AllocateOptions = { idempotencyKey: 'build-7' };
    const first = await broker.allocate(options);
    const again = await clientOf(here).allocate(options);
    expect(again).toMatchObject({ sandbox_id: first.sandbox_id, replayed: true });
    const anonymous = createBroker({ url: here.url, token: TOKEN });
    const lease = await anonymous.allocate();
    expect(await anonymous.get(lease.sandbox_id)).toMatchObject({ allocated_to_track: anonymous.holder });
  });

  test('a program that starts again finds its lease by its own key, and is told when that is over', async () => {
    const here = await startBrokerHere(endpoint);
    const key: AllocateOptions = { idempotencyKey: 'build-4711/step-2' };
    const first = await clientOf(here).allocate(key);
    const restarted = await clientOf(here).allocate(key);
    expect(restarted).toMatchObject({ sandbox_id: first.sandbox_id, replayed: true, leaseOver: false });
    await restarted.release();
    const late = await clientOf(here).allocate(key);
    expect(late).toMatchObject({ sandbox_id: first.sandbox_id, replayed: true, leaseOver: true });
    // The same holder has the same sandbox again, for other work: the late one ends no lease but its own.
    await here.asAdmin('POST', '/v1/admin/cleanup');
    await Promise.all(Array.from({ length: 5 }, () => clientOf(here).allocate()));
    expect(await countOf(here, 'allocated')).toBe(5);
    await late[Symbol.asyncDispose]();
    expect(await failureOf(late.release())).toMatchObject({ code: 'LEASE_OVER', attempts: 0 });
    expect(await countOf(here, 'allocated')).toBe(5);
  });

  test('a key without a holder of one’s own is a mistake: after a restart nobody would find it', async () => {
    const anonymous = createBroker({ url: 'http://127.0.0.1:9', token: TOKEN });
    await expect(anonymous.allocate({ idempotencyKey: 'build-7' })).rejects.toThrow(RangeError);
  });

  test('a scope that ends gives back, also by an error; disposing twice sends once', async () => {
    const here = await startBrokerHere(endpoint);
    const front = await startFront(here.url);
    const broker = clientOf(front);
    const scope = async () => {
      await using lease = await broker.allocate();
      await lease.release();
      throw new Error(lease.sandbox_id);
    };
    await expect(scope()).rejects.toThrow();
    expect(front.seen.filter(({ line }) => line.includes('mark-for-deletion'))).toHaveLength(1);
    {
      await using lease = await broker.allocate();
      expect(await broker.get(lease.sandbox_id)).toMatchObject({ status: 'allocated' });
    }
    expect(await countOf(here, 'pending_deletion')).toBe(2);
    expect(await countOf(here, 'allocated')).toBe(0);
  });

  test('a release that failed is tried again by the next one', async () => {
    const here = await startBrokerHere(endpoint);
    const front = await startFront(here.url);
    const lease = await clientOf(front).allocate();
    front.answer(refusal(503, 'STORE_UNAVAILABLE', 60));
    expect((await failureOf(lease.release({ deadlineMs: 500 }))).code).toBe('STORE_UNAVAILABLE');
    expect(await lease.release()).toMatchObject({ status: 'pending_deletion' });
  });

  test('the end of a scope is no error where the sandbox is another holder’s by now', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    const lease = await clientOf(here).allocate();
    await here.asTrack('POST', `/v1/sandboxes/${lease.sandbox_id}/mark-for-deletion`, 'student-1');
    await here.asAdmin('POST', '/v1/admin/cleanup');
    const next = await clientOf(here, { holder: 'student-2' }).allocate({ waitForFree: true });
    expect(next.sandbox_id).toBe(lease.sandbox_id);
    await lease[Symbol.asyncDispose]();
    expect(await failureOf(lease.release())).toMatchObject({ code: 'NOT_SANDBOX_OWNER', status: 403 });
    expect(await countOf(here, 'allocated')).toBe(1);
  });

  test('a refusal is an error with the API’s code, at once, and nobody’s token', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
    const broker = clientOf(here);
    const { sandbox_id } = await broker.allocate();
    const stranger = clientOf(here, { holder: 'stranger' });
    const refusals: [() => Promise<unknown>, string, number][] = [
      [() => stranger.allocate(), 'NO_SANDBOXES_AVAILABLE', 409],
      [() => stranger.get(sandbox_id), 'NOT_SANDBOX_OWNER', 403],
      [() => stranger.markForDeletion('no-such'), 'SANDBOX_NOT_FOUND', 404],
      [() => broker.allocate({ holder: 'not a holder' }), 'INVALID_REQUEST', 400],
      [() => clientOf(here, { token: 'another-token' }).get(sandbox_id), 'UNAUTHORIZED', 401],
    ];
    for (const [call, code, status] of refusals) {
      const error = await failureOf(call());
      expect(error).toMatchObject({ code, status, attempts: 1, requestId: expect.stringMatching(/./) });
      expect(JSON.stringify({ ...error, message: error.message })).not.toMatch(/another-token|dev-track/);
    }
    const { details } = await failureOf(broker.allocate({ holder: 'not a holder' }));
    expect(JSON.stringify(details)).toContain('X-Track-ID');
  });

  test('the rate limit only slows it down', async () => {
    const here = await startBrokerHere(endpoint, { RATE_LIMIT_RPS: '4', RATE_LIMIT_BURST: '4' });
    const broker = clientOf(here);
    const leases = await Promise.all(Array.from({ length: 5 }, () => broker.allocate()));
    expect(new Set(leases.map((lease) => lease.sandbox_id)).size).toBe(5);
    expect(await here.metric('broker_rate_limited_total')).toBeGreaterThan(0);
  });
});

describeOnFastEngine('the client behind a front that answers by itself', ({ endpoint }) => {
  test('waits as long as Retry-After says, and keeps the key of the call', async () => {
    const here = await startBrokerHere(endpoint);
    const front = await startFront(here.url);
    front.answer(
      refusal(503, 'BUSY', 1),
      { status: 502, body: '<html>Bad gateway</html>' },
      refusal(409, 'IDEMPOTENCY_IN_PROGRESS', 0),
    );
    const startedAtMs = performance.now();
    await clientOf(front).allocate();
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(1_000);
    const keys = front.seen.map(({ headers }) => headers['idempotency-key']);
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
  });

  test('throws at once what it was told when there is no time to wait for the next attempt', async () => {
    const here = await startBrokerHere(endpoint);
    const front = await startFront(here.url);
    front.answer(refusal(503, 'STORE_UNAVAILABLE', 60));
    const error = await failureOf(clientOf(front, { deadlineMs: 5_000 }).allocate());
    expect(error).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      status: 503,
      retryAfterSeconds: 60,
      requestId: 'req-1',
      attempts: 1,
    });
  });

  test('an empty pool is waited for by those who ask for it', async () => {
    const here = await startBrokerHere(endpoint);
    const front = await startFront(here.url);
    const empty = refusal(409, 'NO_SANDBOXES_AVAILABLE', 0);
    front.answer(empty, empty);
    expect((await failureOf(clientOf(front).allocate())).code).toBe('NO_SANDBOXES_AVAILABLE');
    expect(await clientOf(front).allocate({ waitForFree: true })).toMatchObject({ replayed: false });
    expect(front.seen).toHaveLength(3);
  });

  test('a page where an answer belongs is no lease', async () => {
    const here = await startBrokerHere(endpoint);
    const front = await startFront(here.url);
    front.answer({ status: 200, body: '<html>Welcome</html>' });
    const error = await failureOf(clientOf(front).allocate());
    expect(error).toMatchObject({ code: 'UNEXPECTED_ANSWER', status: 200, attempts: 1 });
  });

  test('an abort ends the wait between two attempts, with the reason of the signal', async () => {
    const here = await startBrokerHere(endpoint);
    const front = await startFront(here.url);
    front.answer(refusal(503, 'BUSY', 50));
    const controller = new AbortController();
    const call = clientOf(front).allocate({ signal: controller.signal });
    call.catch(() => undefined);
    await until(() => front.arrived === 1, { what: 'the first answer has arrived' });
    const reason = new Error('the student has left');
    controller.abort(reason);
    await expect(call).rejects.toBe(reason);
    await expect(clientOf(front).get('x', { signal: controller.signal })).rejects.toBe(reason);
    expect(front.seen).toHaveLength(1);
  });
});

test('a holder that no header can have is refused before anything is sent', async () => {
  const broker = createBroker({ url: 'http://127.0.0.1:9', token: TOKEN, holder: 'one\ntwo' });
  await expect(broker.allocate()).rejects.toThrow(TypeError);
});

describe('options that cannot be used', () => {
  test.each<[string, Partial<BrokerOptions>]>([
    ['url', { url: 'ftp://broker' }],
    ['url', { url: 'http://user:secret@broker' }],
    ['token', { token: '' }],
    ['token', { token: 'two words' }],
    ['deadlineMs', { deadlineMs: 0 }],
    ['attemptTimeoutMs', { attemptTimeoutMs: Number.NaN }],
  ])('%s: %o', (name, options) => {
    const make = () => createBroker({ url: 'http://127.0.0.1:9', token: TOKEN, ...options });
    expect(make).toThrow(RangeError);
    expect(make).toThrow(new RegExp(`^${name}`));
    expect(make).not.toThrow(/secret|two words/);
  });
});
