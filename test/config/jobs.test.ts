import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/index.ts';

test('jobs and keyed requests have their defaults', () => {
  expect(loadConfig({})).toMatchObject({
    maxWorkers: 2,
    workerIntervalMs: 5_000,
    idempotencyTtlMs: 3_600_000,
  });
});

test('jobs and keyed requests are as they are told', () => {
  const env = { SANDBOX_MAX_WORKERS: '4', SANDBOX_WORKER_INTERVAL: '0.25', IDEMPOTENCY_TTL_SEC: '60' };
  expect(loadConfig(env)).toMatchObject({ maxWorkers: 4, workerIntervalMs: 250, idempotencyTtlMs: 60_000 });
});

test.each([
  ['SANDBOX_MAX_WORKERS', '0'],
  ['SANDBOX_MAX_WORKERS', '1.5'],
  ['SANDBOX_WORKER_INTERVAL', '0'],
  ['SANDBOX_WORKER_INTERVAL', '3601'],
  ['IDEMPOTENCY_TTL_SEC', '0'],
  ['IDEMPOTENCY_TTL_SEC', '-1'],
])('%s=%s stops the start with a sentence that names it', (name, value) => {
  expect(() => loadConfig({ [name]: value })).toThrow(new RegExp(`^${name} is "${value}": it must be `));
});
