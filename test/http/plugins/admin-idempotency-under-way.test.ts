import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test, vi } from 'vitest';
import { asAdmin } from '../../support/broker/http-app.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { until } from '../../support/until.ts';
import { heldRun, runsWith, send, start, TTL_SECONDS } from './admin-idempotency-steps.ts';

describeOnFastEngine("an operator's request with a key", ({ endpoint }) => {
  test('under way is 409 to its repetitions, and says when to come back', async () => {
    const held = heldRun();
    const app = await start(endpoint, { runs: runsWith(held.run) });
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
    const one = await start(endpoint, { runs: runsWith(held.run) });
    const other = await start(endpoint, { runs: runsWith(held.run) }, { table: one.table, clock: one.clock });
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

  test('keeps its answer for its time, counted from completion', async () => {
    const held = heldRun();
    const app = await start(endpoint, { runs: runsWith(held.run) });
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
    const app = await start(endpoint, { runs: runsWith(held.run) });
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
    const app = await start(endpoint, { runs: runsWith(held.run) });
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
});
