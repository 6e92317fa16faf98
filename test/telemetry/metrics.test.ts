import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';

const START_MS = 1_700_000_000_000;

/** Metrics under a clock that the test moves. */
function setUp() {
  const clock = { now: START_MS, nowMs: () => clock.now };
  return { clock, metrics: createMetrics(clock) };
}

/** Every sample by its name and labels. */
async function samplesOf(metrics: Metrics): Promise<Record<string, number>> {
  const { body } = await metrics.text();
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

/** A moment in which everything has happened once. */
function exercise(metrics: Metrics): void {
  metrics.allocation('success', 0.02, 1);
  metrics.marked('success');
  metrics.loopRun('sync', 'success', 0.5, { synced: 3, stale: 1, recent: 2, still_listed: 4 });
  metrics.request('POST', '/v1/allocate', 201, 0.02);
  metrics.storeCall('Query', 'success', 0.004);
  metrics.providerCall('delete', 'timeout', 5);
  metrics.setPoolCounts({ counts: POOL, total: 15, asOfMs: START_MS });
  metrics.rateLimited();
  metrics.alert('cleanup', 'warning');
}

const POOL = {
  available: 1,
  allocated: 2,
  pending_deletion: 3,
  deletion_failed: 4,
  stale: 5,
  cooling: 0,
  quarantined: 0,
};
const LOOPS = ['sync', 'cleanup', 'expiry', 'purge', 'counts'];
const oneOf = (name: string, label: string, values: string[]) =>
  values.map((value) => `${name}{${label}="${value}"}`);

describe('from the start', () => {
  test('every known series is there with 0', async () => {
    const samples = await samplesOf(setUp().metrics);
    const runs = ['success', 'error', 'skipped'];
    const kept = ['success', 'over', 'not_owner', 'not_found', 'refused', 'error'];
    const expected = [
      ...oneOf('broker_allocate_total', 'outcome', [
        'success',
        'idempotent',
        'waiting',
        'no_sandboxes',
        'line_full',
        'place_lost',
        'conflict_key',
        'busy',
        'refused',
        'error',
      ]),
      'broker_allocate_conflicts',
      'broker_allocate_conflicts_total',
      'broker_allocate_idempotent_hits',
      'broker_allocate_idempotent_hits_total',
      ...oneOf('broker_deletion_marked_total', 'outcome', [
        'success',
        'repeated',
        'not_owner',
        'not_found',
        'refused',
        'error',
      ]),
      ...oneOf('broker_lease_extensions_total', 'outcome', kept),
      ...oneOf('broker_heartbeats_total', 'outcome', kept),
      ...oneOf('broker_reports_total', 'outcome', ['repeated', ...kept]),
      ...oneOf('broker_sync_total', 'outcome', runs),
      ...oneOf('broker_cleanup_total', 'outcome', runs),
      ...oneOf('broker_expiry_total', 'outcome', runs),
      'broker_sync_sandboxes_synced_total',
      'broker_sync_sandboxes_stale_total',
      'broker_sync_sandboxes_recent_total',
      'broker_sync_sandboxes_still_listed_total',
      'broker_cleanup_still_listed_total',
      'broker_cleanup_deleted_total',
      'broker_cleanup_failed_total',
      'broker_expiry_marked_total',
      ...Object.keys(POOL).map((status) => `broker_pool_${status}`),
      'broker_pool_total',
      'broker_pool_counts_age_seconds',
      ...oneOf('broker_loop_last_success_timestamp_seconds', 'loop', LOOPS),
      ...oneOf('broker_loop_duration_seconds_count', 'loop', LOOPS),
      'broker_allocation_latency_seconds_count{outcome="success"}',
      'broker_store_calls_total{operation="TransactWriteItems",outcome="cancelled"}',
      'broker_store_call_seconds_count{operation="Query",outcome="timeout"}',
      'broker_provider_calls_total{operation="list",outcome="rate_limited"}',
      'broker_provider_call_seconds_count{operation="delete",outcome="success"}',
      'broker_rate_limited_total',
      'broker_alerts_total{task="sync",severity="critical"}',
    ];
    expect(samples).toMatchObject(Object.fromEntries(expected.map((name) => [name, 0])));
  });

  test("the process's own metrics are there", async () => {
    const samples = await samplesOf(setUp().metrics);
    expect(samples.process_resident_memory_bytes).toBeGreaterThan(0);
    expect(Object.keys(samples)).toContain('nodejs_eventloop_lag_seconds');
  });
});

describe('what happens is counted', () => {
  test('an allocation with its conflicts, in ten buckets from 10 ms to 1 s', async () => {
    const { metrics } = setUp();
    metrics.allocation('success', 0.06, 2);
    metrics.allocation('idempotent', 0.001, 0);
    const samples = await samplesOf(metrics);
    expect(samples).toMatchObject({
      'broker_allocate_total{outcome="success"}': 1,
      broker_allocate_conflicts: 2,
      broker_allocate_conflicts_total: 2,
      broker_allocate_idempotent_hits: 1,
      broker_allocate_idempotent_hits_total: 1,
      'broker_allocation_latency_seconds_bucket{le="0.05",outcome="success"}': 0,
      'broker_allocation_latency_seconds_bucket{le="0.075",outcome="success"}': 1,
    });
    const bounds = Object.keys(samples).flatMap(
      (name) => /latency_seconds_bucket{le="([\d.]+)",outcome="success"/.exec(name)?.[1] ?? [],
    );
    expect([bounds.length, bounds.at(0), bounds.at(-1)]).toEqual([10, '0.01', '1']);
  });

  test('a run with its counts; a skipped one takes no time and succeeds at nothing', async () => {
    const { metrics, clock } = setUp();
    clock.now += 5000;
    metrics.loopRun('cleanup', 'success', 2, { deleted: 4, failed: 1, recycled: 4 });
    metrics.loopRun('expiry', 'skipped', 0, {});
    metrics.loopRun('purge', 'error', 1, {});
    expect(await samplesOf(metrics)).toMatchObject({
      'broker_cleanup_total{outcome="success"}': 1,
      broker_cleanup_deleted_total: 4,
      broker_cleanup_failed_total: 1,
      'broker_loop_last_success_timestamp_seconds{loop="cleanup"}': START_MS / 1000 + 5,
      'broker_loop_duration_seconds_sum{loop="cleanup"}': 2,
      'broker_expiry_total{outcome="skipped"}': 1,
      'broker_loop_duration_seconds_count{loop="expiry"}': 0,
      'broker_loop_last_success_timestamp_seconds{loop="purge"}': 0,
      'broker_loop_duration_seconds_count{loop="purge"}': 1,
    });
  });

  test('a request by its route, and whatever a caller makes up under one name', async () => {
    const { metrics } = setUp();
    metrics.request('GET', '/v1/sandboxes/:id', 200, 0.003);
    metrics.request('BREW', undefined, 404, 0.001);
    metrics.request('SIP', undefined, 404, 0.001);
    expect(await samplesOf(metrics)).toMatchObject({
      'http_requests_total{method="GET",endpoint="/v1/sandboxes/:id",status="200"}': 1,
      'http_requests_total{method="OTHER",endpoint="unmatched",status="404"}': 2,
      'broker_request_latency_seconds_count{method="OTHER",endpoint="unmatched",status="404"}': 2,
    });
  });

  test("a store's errors under a bounded set of names", async () => {
    const { metrics } = setUp();
    metrics.storeCall('TransactWriteItems', 'TransactionCanceledException', 0.01);
    metrics.storeCall('Query', 'ThrottlingException', 0.01);
    metrics.storeCall('Query', 'SomethingNewException', 0.01);
    metrics.storeCall('BatchWriteItem', 'success', 0.01);
    expect(await samplesOf(metrics)).toMatchObject({
      'broker_store_calls_total{operation="TransactWriteItems",outcome="cancelled"}': 1,
      'broker_store_calls_total{operation="Query",outcome="throttled"}': 1,
      'broker_store_calls_total{operation="Query",outcome="error"}': 1,
      'broker_store_calls_total{operation="OTHER",outcome="success"}': 1,
    });
  });

  test('everything else that callers report', async () => {
    const { metrics } = setUp();
    exercise(metrics);
    expect(await samplesOf(metrics)).toMatchObject({
      'broker_deletion_marked_total{outcome="success"}': 1,
      'broker_provider_calls_total{operation="delete",outcome="timeout"}': 1,
      'broker_provider_call_seconds_sum{operation="delete",outcome="timeout"}': 5,
      broker_sync_sandboxes_synced_total: 3,
      broker_sync_sandboxes_stale_total: 1,
      broker_sync_sandboxes_recent_total: 2,
      broker_sync_sandboxes_still_listed_total: 4,
      broker_rate_limited_total: 1,
      'broker_alerts_total{task="cleanup",severity="warning"}': 1,
    });
  });
});

describe("the pool's counts", () => {
  test('come with the age they have when they are read', async () => {
    const { metrics, clock } = setUp();
    metrics.setPoolCounts({ counts: POOL, total: 15, asOfMs: START_MS - 1000 });
    clock.now += 2500;
    expect(await samplesOf(metrics)).toMatchObject({
      broker_pool_available: 1,
      broker_pool_allocated: 2,
      broker_pool_pending_deletion: 3,
      broker_pool_deletion_failed: 4,
      broker_pool_stale: 5,
      broker_pool_total: 15,
      broker_pool_counts_age_seconds: 3.5,
    });
  });

  test('grow old when nobody ever counts', async () => {
    const { metrics, clock } = setUp();
    clock.now += 60_000;
    expect(await samplesOf(metrics)).toMatchObject({ broker_pool_counts_age_seconds: 60 });
  });
});

describe("Prometheus' own check", () => {
  const installed = spawnSync('promtool', ['--version']).error === undefined;

  test.skipIf(!installed)(
    `finds nothing to say${installed ? '' : ' (skipped: promtool is not installed)'}`,
    async () => {
      const { metrics } = setUp();
      exercise(metrics);
      const { contentType, body } = await metrics.text();
      const checked = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' });
      expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/);
      expect(`${checked.stdout}${checked.stderr}`).toBe('');
      expect(checked.status).toBe(0);
    },
  );

  test('has a type for every metric of the broker', async () => {
    const { body } = await setUp().metrics.text();
    const untyped = [...body.matchAll(/^# TYPE (\S+) untyped$/gm)].map(([, name]) => name);
    expect(untyped.filter((name) => !name?.startsWith('nodejs_'))).toEqual([]);
    expect(body).toMatch(/^# TYPE broker_allocate_conflicts gauge$/m);
    expect(body).toMatch(/^# TYPE broker_pool_total counter$/m);
  });
});
