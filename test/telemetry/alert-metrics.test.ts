import { expect, test } from 'vitest';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { createFakeClock } from '../support/broker/core.ts';

test('what becomes of alerts is counted, and there with 0 from the start', async () => {
  const metrics = createMetrics(createFakeClock());
  const before = (await metrics.text()).body;
  for (const series of [
    'broker_alerts_total{task="pool",severity="error"}',
    'broker_alerts_total{task="webhook",severity="critical"}',
    'broker_alert_webhook_total{outcome="dropped"}',
    'broker_alert_records_total{outcome="failed"}',
  ]) {
    expect(before).toContain(`${series} 0\n`);
  }
  metrics.alert('pool', 'error');
  metrics.alertNotified('swallowed');
  metrics.alertRecorded('stored');
  const after = (await metrics.text()).body;
  expect(after).toContain('broker_alerts_total{task="pool",severity="error"} 1\n');
  expect(after).toContain('broker_alert_webhook_total{outcome="swallowed"} 1\n');
  expect(after).toContain('broker_alert_records_total{outcome="stored"} 1\n');
});
