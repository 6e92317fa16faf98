import { expect, test } from 'vitest';
import { RETRY_BUCKETS } from '../../src/domain/resilience/retry-window.ts';
import { BREAKERS } from '../../src/telemetry/metric-labels.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

const setUp = () => {
  const metrics = createMetrics({ nowMs: () => 0 });
  const sample = async (name: string) => {
    const { body } = await metrics.text();
    const line = body.split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  };
  return { metrics, sample };
};

test('every bucket of attempts and every breaker is there from the start with 0', async () => {
  const { sample } = setUp();
  for (const bucket of RETRY_BUCKETS) {
    expect(await sample(`broker_retry_attempts_total{bucket="${bucket}"}`), bucket).toBe(0);
  }
  for (const name of BREAKERS) expect(await sample(`broker_circuit_state{name="${name}"}`), name).toBe(0);
});

test('a task that is over is counted by its attempts', async () => {
  const { metrics, sample } = setUp();
  metrics.retryEnded('4-5');
  metrics.retryEnded('4-5');
  expect(await sample('broker_retry_attempts_total{bucket="4-5"}')).toBe(2);
});

test("a breaker's state is 0 closed, 1 open, 2 half-open", async () => {
  const { metrics, sample } = setUp();
  const gauge = 'broker_circuit_state{name="csp_delete"}';
  for (const [state, value] of [
    ['open', 1],
    ['half_open', 2],
    ['closed', 0],
  ] as const) {
    metrics.circuitState('csp_delete', state);
    expect(await sample(gauge)).toBe(value);
  }
  expect(await sample('broker_circuit_state{name="csp_list"}')).toBe(0);
});
