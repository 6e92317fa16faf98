import { expect, test } from 'vitest';
import { createIdempotency } from '../../../src/safety/index.ts';
import { createFakeClock } from '../../support/broker/core.ts';

function setUp(ttlMs = 60_000) {
  const clock = createFakeClock();
  const idempotency = createIdempotency({ clock, ttlMs });
  let runs = 0;
  return { clock, idempotency, runs: () => runs, work: async () => ({ run: ++runs }) };
}

test('a request is carried out once, and its repetitions get its result', async () => {
  const { idempotency, work, runs } = setUp();
  expect(await idempotency.isDuplicate('key-1')).toBe(false);
  expect(await idempotency.process('key-1', work)).toEqual({ result: { run: 1 }, replayed: false });
  expect(await idempotency.process('key-1', work)).toEqual({ result: { run: 1 }, replayed: true });
  expect(await idempotency.isDuplicate('key-1')).toBe(true);
  expect(await idempotency.cachedResult('key-1')).toEqual({ run: 1 });
  expect(await idempotency.cachedResult('key-2')).toBeUndefined();
  expect([runs(), idempotency.operations]).toEqual([1, 1]);
});

test('of two at once one is carried out, and the other told to come again', async () => {
  const { idempotency } = setUp();
  const gate = Promise.withResolvers<string>();
  const first = idempotency.process('key-1', () => gate.promise);
  await expect(idempotency.process('key-1', async () => 'second')).rejects.toMatchObject({
    code: 'IDEMPOTENCY_IN_PROGRESS',
    retryAfterSeconds: 1,
  });
  gate.resolve('first');
  expect(await first).toEqual({ result: 'first', replayed: false });
});

test('a key that was used for something else is refused, and what failed may be sent again', async () => {
  const { idempotency, work } = setUp();
  await idempotency.process('key-1', work, { request: { amount: 5, to: 'a' } });
  const same = idempotency.process('key-1', work, { request: { to: 'a', amount: 5 } });
  expect(await same).toMatchObject({ replayed: true });
  await expect(idempotency.process('key-1', work, { request: { amount: 6 } })).rejects.toMatchObject({
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  const error = new Error('declined');
  await expect(idempotency.process('key-2', () => Promise.reject(error))).rejects.toBe(error);
  expect(await idempotency.process('key-2', work)).toMatchObject({ replayed: false });
});

test('a result is kept for its time, and cleared after it', async () => {
  const { idempotency, clock, work } = setUp();
  await idempotency.process('key-1', work);
  clock.advanceSeconds(59);
  expect(idempotency.clearExpired()).toBe(0);
  clock.advanceSeconds(1);
  expect(await idempotency.isDuplicate('key-1')).toBe(false);
  expect([idempotency.clearExpired(), idempotency.clearExpired()]).toEqual([1, 0]);
  expect(await idempotency.process('key-1', work)).toEqual({ result: { run: 2 }, replayed: false });
});
