import { expect, test } from 'vitest';
import { createMetrics } from '../../src/telemetry/metrics.ts';

async function samplesOf(metrics: ReturnType<typeof createMetrics>): Promise<Record<string, number>> {
  const { body } = await metrics.text();
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

const setUp = () => createMetrics({ nowMs: () => 1_700_000_000_000 });

test('every series of the queue and of keyed requests is there from the start with 0', async () => {
  const samples = await samplesOf(setUp());
  for (const type of ['sync', 'cleanup', 'expire', 'purge']) {
    for (const outcome of ['completed', 'failed', 'postponed', 'interrupted', 'lost', 'abandoned']) {
      expect(samples).toHaveProperty([`broker_jobs_total{type="${type}",outcome="${outcome}"}`], 0);
    }
    expect(samples).toHaveProperty([`broker_job_start_delay_seconds_count{type="${type}"}`], 0);
  }
  for (const outcome of ['executed', 'replayed', 'other_request', 'in_progress', 'not_kept', 'unstored']) {
    expect(samples).toHaveProperty([`broker_admin_idempotency_total{outcome="${outcome}"}`], 0);
  }
  expect(samples).toHaveProperty(['broker_job_queue_length'], 0);
});

test('what happens to jobs and keyed requests is counted', async () => {
  const metrics = setUp();
  metrics.jobRun('cleanup', 'failed');
  metrics.jobStarted('cleanup', 0.03);
  metrics.setJobQueueLength(7);
  metrics.keyedRequest('replayed');
  expect(await samplesOf(metrics)).toMatchObject({
    'broker_jobs_total{type="cleanup",outcome="failed"}': 1,
    'broker_job_start_delay_seconds_sum{type="cleanup"}': 0.03,
    'broker_job_start_delay_seconds_bucket{le="0.025",type="cleanup"}': 0,
    'broker_job_start_delay_seconds_bucket{le="0.05",type="cleanup"}': 1,
    broker_job_queue_length: 7,
    'broker_admin_idempotency_total{outcome="replayed"}': 1,
  });
});
