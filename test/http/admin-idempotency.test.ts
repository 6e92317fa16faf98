import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { AppDeps } from '../../src/app.ts';
import { BrokerError } from '../../src/domain/errors.ts';
import type { KeyedOutcome } from '../../src/domain/kept-answer.ts';
import type { ApiDocument } from '../../src/http/openapi-document.ts';
import { MAX_KEPT_BODY_BYTES } from '../../src/http/plugins/admin-idempotency.ts';
import type { RunCounts } from '../../src/loops/run.ts';
import { createKeptAnswers } from '../../src/store/admin-idempotency.ts';
import { openTable } from '../../src/store/table.ts';
import { createCountingClient, createFakeClock, type FakeClock, uniqueTable } from '../support/core.ts';
import { describeOnFastEngine } from '../support/engines.ts';
import { fakeAppDeps } from '../support/fake-app-deps.ts';
import { asAdmin, startApp, type TestApp } from '../support/http-app.ts';
import { failWith, injectFaults, timedOut } from '../support/injected-faults.ts';
import { until } from '../support/until.ts';

const TTL_SECONDS = 3_600;

/** Work of an operator's request: counted, and held until the test lets it end. */
function heldRun(counts: RunCounts = { created: 1 }) {
  const waiting: ((error?: unknown) => void)[] = [];
  let begun = 0;
  const run = async () => {
    begun++;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting.push((error) => (error === undefined ? resolve() : reject(error)));
    await promise;
    return { counts, durationMs: 5 };
  };
  return {
    run,
    begun: () => begun,
    waiting: () => until(() => waiting.length > 0, { what: 'the run began' }),
    end: async (error?: unknown) => {
      await until(() => waiting.length > 0, { what: 'the run began' });
      waiting.shift()?.(error);
    },
  };
}

/** The app with real records of what was carried out. */
async function start(
  endpoint: string,
  overrides: Partial<AppDeps> = {},
  on: { table: string; clock: FakeClock } = { table: uniqueTable(), clock: createFakeClock() },
) {
  const { client, calls } = createCountingClient(endpoint, on.table);
  onTestFinished(async () => client.close());
  await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
  calls.clear();
  const outcomes: KeyedOutcome[] = [];
  const ttlMs = TTL_SECONDS * 1000;
  const app = await startApp({
    clock: on.clock,
    idempotency: {
      answers: createKeptAnswers(client, {
        clock: on.clock,
        newId: randomUUID,
        replicaId: randomUUID(),
        ttlMs,
      }),
      observe: (outcome) => outcomes.push(outcome),
    },
    ...overrides,
  });
  return { ...app, ...on, client, storeCalls: calls, outcomes };
}

const { runs } = fakeAppDeps().deps;
const counted = (answer: () => Promise<RunCounts> | RunCounts) => {
  const run = vi.fn(async () => ({ counts: await answer(), durationMs: 5 }));
  return { run, runs: { ...runs, sync: run } };
};

const send = (app: TestApp, path = 'sync', key = 'key-1', more: Record<string, string> = {}, body?: string) =>
  app.call('POST', `/v1/admin/${path}`, {
    headers: asAdmin({ 'idempotency-key': key, ...more }),
    ...(body !== undefined && { body }),
  });
const JSON_TYPE = { 'content-type': 'application/json' };

describeOnFastEngine("an operator's request with a key", ({ endpoint }) => {
  test('is carried out once, and its repetition answered with the same', async () => {
    let number = 0;
    const { run, runs: counting } = counted(() => ({ created: ++number }));
    const app = await start(endpoint, { runs: counting });
    const first = await send(app);
    const second = await send(app);
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(first.json).toMatchObject({ status: 'completed', created: 1 });
    expect(second.text).toBe(first.text);
    expect(second.headers['content-type']).toBe(first.headers['content-type']);
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    expect(run).toHaveBeenCalledTimes(1);
    expect(app.outcomes).toEqual(['executed', 'replayed']);
  });

  test('without a key is carried out every time, and the records are left alone', async () => {
    const { run, runs: counting } = counted(() => ({}));
    const app = await start(endpoint, { runs: counting });
    for (const _ of [1, 2]) await app.call('POST', '/v1/admin/sync', { headers: asAdmin() });
    expect(run).toHaveBeenCalledTimes(2);
    expect(app.storeCalls.count()).toBe(0);
  });

  test('answered with a job is answered with that job again, headers and all', async () => {
    const app = await start(endpoint);
    const first = await send(app, 'jobs', 'key-1', JSON_TYPE, '{"type":"purge"}');
    const second = await send(app, 'jobs', 'key-1', JSON_TYPE, '{"type":"purge"}');
    expect([second.status, second.text]).toEqual([202, first.text]);
    expect(second.headers.location).toBe(first.headers.location);
    expect(app.recorded.of('submitJob')).toHaveLength(1);
    const preferred = await send(app, 'cleanup', 'key-2', { prefer: 'respond-async' });
    const again = await send(app, 'cleanup', 'key-2', { prefer: 'respond-async' });
    expect([preferred.status, again.status]).toEqual([202, 202]);
    expect(again.headers['preference-applied']).toBe('respond-async');
  });

  test.each([
    ['sync', 'sync?force=false', undefined, undefined],
    ['auto-delete-stale?grace_period_hours=24', 'auto-delete-stale', undefined, '{}'],
    [
      'jobs',
      'jobs',
      '{"type":"purge","options":{"grace_period_hours":24}}',
      '{ "options": {}, "type": "purge" }',
    ],
    ['sandboxes/a%3Ab/release', 'sandboxes/a:b/release', undefined, undefined],
  ])('%s and %s are the same request', async (path, same, body, sameBody) => {
    const app = await start(endpoint);
    const first = await send(app, path, 'key-1', body === undefined ? {} : JSON_TYPE, body);
    const second = await send(app, same, 'key-1', sameBody === undefined ? {} : JSON_TYPE, sameBody);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect([second.status, second.text]).toEqual([first.status, first.text]);
  });

  test.each([
    ['sync?force=true', undefined],
    ['cleanup', undefined],
    ['sandboxes/sbx-1/release', undefined],
    ['jobs', '{"type":"sync"}'],
  ])('is not to be confused with %s under the same key: 422', async (path, body) => {
    const app = await start(endpoint);
    await send(app);
    const other = await send(app, path, 'key-1', body === undefined ? {} : JSON_TYPE, body);
    expect([other.status, other.json.error?.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
    expect(
      app.recorded.calls.some(([name]) => ['cleanup', 'releaseSandbox', 'submitJob'].includes(name)),
    ).toBe(false);
    expect(app.outcomes).toEqual(['executed', 'other_request']);
  });

  test('for one sandbox is not to be confused with the same for another', async () => {
    const app = await start(endpoint);
    expect((await send(app, 'sandboxes/sbx-1/release')).status).toBe(200);
    expect((await send(app, 'sandboxes/sbx-2/release')).status).toBe(422);
    expect(app.recorded.of('releaseSandbox')).toHaveLength(1);
  });

  test('under way is 409 to its repetitions, and says when to come back', async () => {
    const held = heldRun();
    const app = await start(endpoint, { runs: { ...runs, sync: held.run } });
    const first = send(app);
    await held.waiting();
    const early = await send(app);
    expect([early.status, early.json.error?.code]).toEqual([409, 'IDEMPOTENCY_IN_PROGRESS']);
    expect(early.headers['retry-after']).toBe('1');
    app.clock.advanceSeconds(7);
    expect((await send(app)).headers['retry-after']).toBe('7');
    expect((await send(app, 'sync?force=true')).status).toBe(422);
    await held.end();
    expect((await first).status).toBe(200);
    expect((await send(app)).headers['idempotency-replayed']).toBe('true');
    expect(held.begun()).toBe(1);
  });

  test('is carried out by one of two replicas, however many ask at once', async () => {
    const held = heldRun();
    const one = await start(endpoint, { runs: { ...runs, sync: held.run } });
    const other = await start(
      endpoint,
      { runs: { ...runs, sync: held.run } },
      { table: one.table, clock: one.clock },
    );
    const asked = Array.from({ length: 10 }, (_, index) => send(index % 2 === 0 ? one : other));
    const refused = asked.map((answer) => answer.then(({ status }) => status));
    await held.waiting();
    await until(() => [...one.outcomes, ...other.outcomes].length === 9, {
      what: 'nine are told to wait',
    });
    await held.end();
    expect((await Promise.all(refused)).toSorted()).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
    expect(held.begun()).toBe(1);
    expect((await send(other)).headers['idempotency-replayed']).toBe('true');
  });

  test.each([
    ['a conflict', new BrokerError('ALREADY_RUNNING', 'Under way.'), 409],
    ['a dependency that is away', new BrokerError('PROVIDER_UNAVAILABLE', 'No answer.'), 502],
    ['a refusal for now', new BrokerError('RATE_LIMITED', 'Too many.'), 429],
    ['what nobody expected', new TypeError('oops'), 500],
  ])('that ended with %s is not kept and may be sent again', async (_name, error, status) => {
    let failures = 1;
    const { run, runs: counting } = counted(() => {
      if (failures-- > 0) throw error;
      return { created: 1 };
    });
    const app = await start(endpoint, { runs: counting });
    expect((await send(app)).status).toBe(status);
    const again = await send(app);
    expect([again.status, again.headers['idempotency-replayed']]).toEqual([200, undefined]);
    expect(run).toHaveBeenCalledTimes(2);
    expect(app.outcomes).toEqual(['not_kept', 'executed']);
  });

  test('that is not valid leaves its key free for the right one', async () => {
    const app = await start(endpoint);
    expect((await send(app, 'sync?force=perhaps')).status).toBe(400);
    expect((await send(app, 'sync?force=true')).status).toBe(200);
  });

  test.each(['', 'has space', 'x'.repeat(256), 'ümlaut'])(
    'has to have a usable key: "%s" is 400',
    async (key) => {
      const app = await start(endpoint);
      const answer = await send(app, 'sync', key);
      expect(answer.status).toBe(400);
      expect(answer.json.error?.details?.fields?.[0]).toMatchObject({
        in: 'header',
        name: 'Idempotency-Key',
      });
      expect(app.recorded.of('sync')).toEqual([]);
    },
  );

  test('needs a token before anything else: nobody learns of keys without one', async () => {
    const app = await start(endpoint);
    await send(app);
    const stranger = await app.call('POST', '/v1/admin/sync', { headers: { 'idempotency-key': 'key-1' } });
    expect([stranger.status, stranger.headers['idempotency-replayed']]).toEqual([401, undefined]);
  });

  test('keeps its answer for its time, counted from completion', async () => {
    const held = heldRun();
    const app = await start(endpoint, { runs: { ...runs, sync: held.run } });
    const first = send(app);
    await held.waiting();
    app.clock.advanceSeconds(20);
    await held.end();
    await first;
    app.clock.advanceSeconds(TTL_SECONDS - 1);
    expect((await send(app)).headers['idempotency-replayed']).toBe('true');
    app.clock.advanceSeconds(1);
    const fresh = send(app);
    await held.end();
    expect((await fresh).headers['idempotency-replayed']).toBeUndefined();
    expect(held.begun()).toBe(2);
  });

  test('is finished and kept although its client went away', async () => {
    const held = heldRun({ created: 8 });
    const app = await start(endpoint, { runs: { ...runs, sync: held.run } });
    const socket = connect(app.port, '127.0.0.1');
    await once(socket, 'connect');
    const { authorization } = asAdmin();
    socket.write(
      `POST /v1/admin/sync HTTP/1.1\r\nHost: a\r\nAuthorization: ${authorization}\r\nIdempotency-Key: key-1\r\n\r\n`,
    );
    await held.waiting();
    socket.destroy();
    await app.logged(({ status }) => status === 499);
    await held.end();
    await until(() => app.outcomes.includes('executed'), { what: 'the answer is kept' });
    const again = await send(app);
    expect(again.json).toMatchObject({ status: 'completed', created: 8 });
    expect(again.headers['idempotency-replayed']).toBe('true');
  });

  test('is held for as long as it takes, and free soon when its replica dies', async () => {
    const held = heldRun();
    const app = await start(endpoint, { runs: { ...runs, sync: held.run } });
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      const first = send(app);
      await held.waiting();
      for (let tenSeconds = 1; tenSeconds <= 6; tenSeconds++) {
        app.clock.advanceSeconds(10);
        const renewals = app.storeCalls.count('UpdateItem');
        vi.advanceTimersByTime(10_000);
        await until(() => app.storeCalls.count('UpdateItem') > renewals, {
          what: 'it was renewed',
        });
      }
      expect((await send(app)).status).toBe(409);
      // From here on it gives no sign of life any more.
      app.clock.advanceSeconds(31);
      const taker = send(app);
      await until(() => held.begun() === 2, { what: 'it is carried out by another' });
      await held.end();
      await first;
      await held.end();
      expect((await taker).status).toBe(200);
    } finally {
      vi.useRealTimers();
    }
  });

  test('is not carried out while the store is away: 503', async () => {
    const { run, runs: counting } = counted(() => ({}));
    const app = await start(endpoint, { runs: counting });
    injectFaults(app.client).next('PutItem', failWith(timedOut), { times: 4 });
    const answer = await send(app);
    expect([answer.status, answer.json.error?.code]).toEqual([503, 'STORE_UNAVAILABLE']);
    expect(run).not.toHaveBeenCalled();
    expect((await send(app)).status).toBe(200);
  });

  test('that was carried out is answered as it ended, although its answer could not be kept', async () => {
    const { runs: counting } = counted(() => ({ created: 4 }));
    const app = await start(endpoint, { runs: counting });
    injectFaults(app.client).next('UpdateItem', failWith(timedOut), { times: 4 });
    const answer = await send(app);
    expect([answer.status, answer.json['created']]).toEqual([200, 4]);
    expect(app.outcomes).toEqual(['unstored']);
    // Whether it was carried out is not known to the next one, so that it has to wait.
    expect((await send(app)).status).toBe(409);
  });

  test('with an answer too large to be kept is not carried out again', async () => {
    const names = Array.from({ length: 2_000 }, (_, index) => `${'n'.repeat(40)}${index}`);
    const many = Object.fromEntries(names.map((name) => [name, 1]));
    const { run, runs: counting } = counted(() => many);
    const app = await start(endpoint, { runs: counting });
    const first = await send(app);
    expect(Buffer.byteLength(first.text)).toBeGreaterThan(MAX_KEPT_BODY_BYTES);
    const second = await send(app);
    expect([second.status, second.json.error?.code]).toEqual([409, 'IDEMPOTENCY_ANSWER_NOT_KEPT']);
    expect(second.json.error?.details).toEqual({ status: 200, max_bytes: 65_536 });
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(run).toHaveBeenCalledTimes(1);
  });

  test('is described for every one of them, and for nothing else', async () => {
    const app = await start(endpoint);
    const document = app.app.swagger() as unknown as ApiDocument;
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const text = JSON.stringify(operation);
        const isKeyed = method === 'post' && path.startsWith('/v1/admin/');
        const named = `${method} ${path}`;
        expect(text.includes('#/components/parameters/Idempotency-Key'), named).toBe(isKeyed);
        expect(text.includes('"IDEMPOTENCY_IN_PROGRESS":'), named).toBe(isKeyed);
        if (path !== '/v1/allocate') expect(text.includes('Idempotency-Replayed'), named).toBe(isKeyed);
      }
    }
    expect(document.paths['/v1/admin/jobs']?.post?.requestBody?.required).toBe(true);
    expect(document.paths['/v1/admin/sync']?.post?.requestBody?.required).toBe(false);
  });
});
