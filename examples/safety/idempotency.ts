import assert from 'node:assert/strict';
import { createIdempotency } from 'sandbox-broker/safety';

const idempotency = createIdempotency({ ttlMs: 3_600_000 });
let orders = 0;
const order = () =>
  idempotency.process('order-2024-17', async () => ({ order: ++orders }), { request: { item: 'book' } });

assert.deepEqual(await order(), { result: { order: 1 }, replayed: false });
assert.deepEqual(await order(), { result: { order: 1 }, replayed: true });
assert.equal(await idempotency.isDuplicate('order-2024-17'), true);
assert.deepEqual(await idempotency.cachedResult('order-2024-17'), { order: 1 });

// The same key for something else is a mistake of the caller's.
await assert.rejects(
  idempotency.process('order-2024-17', async () => 'other', { request: { item: 'pen' } }),
  { code: 'IDEMPOTENCY_KEY_REUSED' },
);
assert.equal(idempotency.clearExpired(), 0);
