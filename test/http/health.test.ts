import { describe, expect, test } from 'vitest';
import { startApp } from '../support/broker/http-app.ts';

const TIMESTAMP = 1_767_225_600;

describe('GET /healthz', () => {
  test('is 200 while the process lives, whatever else is broken', async () => {
    const { call } = await startApp({ readiness: () => Promise.reject(new Error('store gone')) });
    const answer = await call('GET', '/healthz');
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ status: 'healthy', timestamp: TIMESTAMP });
  });

  test('HEAD works, and a stray query is nobody’s business', async () => {
    const { call } = await startApp();
    expect((await call('HEAD', '/healthz')).status).toBe(200);
    expect((await call('GET', '/healthz?from=lb')).status).toBe(200);
  });
});

describe('GET /readyz', () => {
  test('is 200 with the checks', async () => {
    const { call } = await startApp();
    const answer = await call('GET', '/readyz');
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      status: 'ready',
      verdict: 'go',
      reasons: [],
      timestamp: TIMESTAMP,
      checks: { dynamodb: 'ok' },
    });
  });

  test('stays 200 when something limits it, and says what', async () => {
    const limited = {
      verdict: 'degraded' as const,
      reasons: ['pool: exhausted'],
      checks: { dynamodb: 'ok', pool: 'degraded: exhausted' },
    };
    const { call } = await startApp({ readiness: async () => limited });
    const answer = await call('GET', '/readyz');
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ status: 'ready', timestamp: TIMESTAMP, ...limited });
  });

  test.each([
    [undefined, 'STORE_UNAVAILABLE'],
    ['SHUTTING_DOWN', 'SHUTTING_DOWN'],
  ] as const)('is 503 naming the failing check: %s', async (refusal, code) => {
    const failing = {
      verdict: 'no_go' as const,
      reasons: ['dynamodb: the store does not answer', 'pool: exhausted'],
      checks: { dynamodb: 'error: the store does not answer', pool: 'degraded: exhausted' },
    };
    const { call } = await startApp({ readiness: async () => ({ ...failing, refusal }) });
    const answer = await call('GET', '/readyz');
    expect(answer.status).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
    const message = 'Not serving: dynamodb: the store does not answer; pool: exhausted.';
    expect(answer.json).toEqual({
      status: 'not_ready',
      timestamp: TIMESTAMP,
      ...failing,
      error: { code, message, request_id: 'id-1', retry_after: 1 },
    });
  });
});

describe('GET /readyz while the store is away from every replica', () => {
  test('stays 200, for callers to be refused by a broker, and says what they are refused with', async () => {
    const refusing = {
      verdict: 'no_go' as const,
      reasons: ['dynamodb: the store does not answer'],
      checks: { dynamodb: 'error: the store does not answer', pool: 'ok' },
    };
    const readiness = async () => ({ ...refusing, refusal: undefined, staysInService: true });
    const { call } = await startApp({ readiness });
    const answer = await call('GET', '/readyz');
    expect(answer.status).toBe(200);
    const message = 'Not serving: dynamodb: the store does not answer.';
    expect(answer.json).toEqual({
      status: 'refusing',
      timestamp: TIMESTAMP,
      ...refusing,
      error: { code: 'STORE_UNAVAILABLE', message, request_id: 'id-1', retry_after: 1 },
    });
  });
});

describe('GET /metrics', () => {
  test('is the text of the metrics, in their format', async () => {
    const { call } = await startApp();
    const answer = await call('GET', '/metrics');
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.text).toBe('broker_pool_total 15\n');
  });

  test('waits for nothing but the metrics', async () => {
    const { call, recorded } = await startApp();
    await call('GET', '/metrics');
    expect(recorded.calls.map(([name]) => name).filter((name) => name !== 'metrics.request')).toEqual([
      'metrics.text',
    ]);
  });
});

test('GET / tells name, version and where the docs are', async () => {
  const { call } = await startApp();
  const answer = await call('GET', '/');
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({
    name: 'sandbox-broker',
    version: '1.2.3',
    docs: '/v1/docs',
    openapi: '/v1/openapi.json',
  });
});
