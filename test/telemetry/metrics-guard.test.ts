import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { createMetricsGuard, isIdentifier } from '../../src/telemetry/metrics-guard.ts';
import { createFakeClock } from '../support/broker/core.ts';

describe('the guard over the number of series', () => {
  it.each([
    'sandbox_id',
    'sandboxId',
    'sandboxID',
    'SANDBOX_ID',
    'Sandbox-Id',
    'request_uuid',
    'requestUuid',
    'leaseGuid',
    'timestamp',
    'created_timestamp',
    'timestampSeconds',
    'id',
    'holder',
    'email',
    'url',
  ])('takes %s for an identifier', (label) => {
    expect(isIdentifier(label)).toBe(true);
  });

  it.each(['outcome', 'operation', 'endpoint', 'status', 'task', 'grid', 'valid', 'paid', 'liquid', 'loop'])(
    'takes %s for what it is',
    (label) => {
      expect(isIdentifier(label)).toBe(false);
    },
  );

  it('refuses a metric with an identifier as a label, and in warn mode counts it', () => {
    const counted: string[] = [];
    const onViolation = (metric: string) => counted.push(metric);
    const strict = createMetricsGuard({ mode: 'strict', onViolation });
    expect(() => strict.register('leases_total', ['outcome', 'sandbox_id'])).toThrow(
      'leases_total may not have the label sandbox_id',
    );
    const warn = createMetricsGuard({ onViolation });
    warn.register('leases_total', ['sandbox_id']);

    expect(counted).toEqual(['leases_total', 'leases_total']);
    expect(warn.report().violations).toEqual({ leases_total: 1 });
  });

  it('counts the value after the last allowed one as other, and goes on counting the known ones', () => {
    const guard = createMetricsGuard({ maxValues: 100 });
    guard.register('calls_total', ['peer']);
    for (let i = 0; i < 100; i++) {
      expect(guard.bound('calls_total', { peer: `p${i}` })).toEqual({ peer: `p${i}` });
    }
    expect(guard.bound('calls_total', { peer: 'p100' })).toEqual({ peer: 'other' });
    expect(guard.bound('calls_total', { peer: 'p0' })).toEqual({ peer: 'p0' });
    expect(guard.bound('calls_total', { peer: 'other' })).toEqual({ peer: 'other' });
    expect(guard.bound('other_total', { peer: 'p100' })).toEqual({ peer: 'p100' });

    expect(guard.report()).toEqual({
      mode: 'warn',
      maxValues: 100,
      labels: [
        { metric: 'calls_total', label: 'peer', values: 100, capped: 1 },
        { metric: 'other_total', label: 'peer', values: 1, capped: 0 },
      ],
      violations: { calls_total: 1 },
    });
  });

  it('is set up with a limit that makes sense', () => {
    expect(() => createMetricsGuard({ maxValues: 0 })).toThrow(RangeError);
  });

  it('keeps the broker’s metrics bounded and counts what it held back', async () => {
    const metrics = createMetrics(createFakeClock());
    for (let i = 0; i < 150; i++) metrics.alert(`task-${i}`, 'info');
    const { body } = await metrics.text();

    const series = body.split('\n').filter((line) => /^broker_alerts_total\{task="(task-|other)/.test(line));
    expect(series.length).toBeLessThanOrEqual(100);
    expect(series.some((line) => line.startsWith('broker_alerts_total{task="other",severity="info"}'))).toBe(
      true,
    );
    expect(body).toMatch(/broker_metrics_cardinality_violations_total\{metric="broker_alerts_total"\} [1-9]/);
    expect(metrics.cardinality().violations.broker_alerts_total).toBeGreaterThan(0);
  });

  it('adds one series for 150 unknown URLs, not 150', async () => {
    const metrics = createMetrics(createFakeClock());
    for (let i = 0; i < 150; i++) metrics.request('GET', undefined, 404, 0.001);
    const { body } = await metrics.text();
    expect(body.split('\n').filter((line) => line.startsWith('http_requests_total{'))).toHaveLength(1);
  });
});
