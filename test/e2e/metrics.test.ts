import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { launchBrokerInside } from '../support/broker/broker-inside.ts';
import { type BrokerProcess, PROCESS_TIMES } from '../support/broker/broker-process.ts';

vi.setConfig(PROCESS_TIMES);

const RUN_OUTCOMES = ['success', 'partial', 'refused', 'error', 'aborted', 'skipped'];
const STORE_OPERATIONS = [
  'BatchGetItem',
  'GetItem',
  'Query',
  'PutItem',
  'UpdateItem',
  'DeleteItem',
  'TransactWriteItems',
];
const LEASE_CALL_OUTCOMES = ['success', 'over', 'not_owner', 'not_found', 'error'];
const ALLOCATION_OUTCOMES = ['success', 'idempotent', 'no_sandboxes', 'conflict_key', 'busy', 'error'];

const labelled = (name: string, label: string, values: readonly string[]): string[] =>
  values.map((value) => `${name}{${label}="${value}"}`);

/** Every metric the design names, each with the label values that are known beforehand. */
const PROMISED = [
  ...labelled('broker_allocate_total', 'outcome', ALLOCATION_OUTCOMES),
  'broker_allocate_conflicts',
  'broker_allocate_conflicts_total',
  'broker_allocate_idempotent_hits',
  'broker_allocate_idempotent_hits_total',
  ...labelled('broker_deletion_marked_total', 'outcome', [
    'success',
    'repeated',
    'not_owner',
    'not_found',
    'refused',
    'error',
  ]),
  ...['lease_extensions', 'heartbeats'].flatMap((calls) =>
    labelled(`broker_${calls}_total`, 'outcome', LEASE_CALL_OUTCOMES),
  ),
  ...['sync', 'cleanup', 'expiry'].flatMap((loop) =>
    labelled(`broker_${loop}_total`, 'outcome', RUN_OUTCOMES),
  ),
  'broker_sync_sandboxes_synced_total',
  'broker_sync_sandboxes_stale_total',
  'broker_sync_sandboxes_recent_total',
  'broker_sync_sandboxes_still_listed_total',
  'broker_cleanup_deleted_total',
  'broker_cleanup_failed_total',
  'broker_expiry_marked_total',
  ...['available', 'allocated', 'pending_deletion', 'stale', 'deletion_failed', 'total'].map(
    (count) => `broker_pool_${count}`,
  ),
  'broker_pool_counts_age_seconds',
  ...labelled('broker_allocation_latency_seconds_count', 'outcome', ALLOCATION_OUTCOMES),
  ...STORE_OPERATIONS.flatMap((operation) => [
    `broker_store_calls_total{operation="${operation}",outcome="success"}`,
    `broker_store_call_seconds_count{operation="${operation}",outcome="success"}`,
  ]),
  ...['list', 'delete'].flatMap((operation) => [
    `broker_provider_calls_total{operation="${operation}",outcome="success"}`,
    `broker_provider_call_seconds_count{operation="${operation}",outcome="success"}`,
  ]),
  ...labelled('broker_loop_last_success_timestamp_seconds', 'loop', ['sync', 'cleanup', 'expiry', 'purge']),
  ...labelled('broker_loop_duration_seconds_count', 'loop', ['sync', 'cleanup', 'expiry', 'purge']),
  'process_resident_memory_bytes',
  'nodejs_heap_size_used_bytes',
];

const REQUEST = 'method="POST",endpoint="/v1/allocate",status="201"';

/** Everything that leaves a trace in the metrics, once. */
async function traffic(): Promise<void> {
  const { json } = await broker.allocate('student');
  await broker.allocate('student');
  await broker.mark(String(json.sandbox_id), 'somebody-else');
  await broker.mark(String(json.sandbox_id), 'student');
  await broker.mark(String(json.sandbox_id), 'student');
  await broker.mark('no-such-sandbox', 'student');
  await broker.admin('POST', '/v1/admin/cleanup');
  await broker.call('GET', '/no/such/path');
}

let broker: BrokerProcess;
beforeAll(async () => {
  broker = await launchBrokerInside({ SANDBOX_DB_URL: 'memory:' });
});
afterAll(async () => void (await broker?.kill9()));

test('a running broker has every metric from the start, and counts what it does', async () => {
  const atStart = await broker.metrics();
  expect(PROMISED.filter((name) => atStart[name] === undefined)).toEqual([]);
  expect(
    Object.keys(atStart).filter((name) => name.startsWith('broker_allocat') && atStart[name] !== 0),
  ).toEqual([]);

  await broker.logged('a pool to lease from', ({ created }) => created === 20);
  await traffic();
  const samples = await broker.metrics();
  expect(samples).toMatchObject({
    'broker_allocate_total{outcome="success"}': 1,
    'broker_allocate_total{outcome="idempotent"}': 1,
    broker_allocate_idempotent_hits: 1,
    'broker_deletion_marked_total{outcome="success"}': 1,
    'broker_deletion_marked_total{outcome="repeated"}': 1,
    'broker_deletion_marked_total{outcome="not_owner"}': 1,
    'broker_deletion_marked_total{outcome="not_found"}': 1,
    'broker_sync_total{outcome="success"}': 1,
    broker_sync_sandboxes_synced_total: 20,
    broker_cleanup_deleted_total: 1,
    'broker_provider_calls_total{operation="delete",outcome="success"}': 1,
    [`http_requests_total{${REQUEST}}`]: 1,
    [`broker_request_latency_seconds_count{${REQUEST}}`]: 1,
  });
  expect(samples['broker_loop_last_success_timestamp_seconds{loop="sync"}']).toBeGreaterThan(1.7e9);
});

const promtool = spawnSync('promtool', ['--version']).error === undefined;

test.skipIf(!promtool)(
  `promtool accepts what a broker says after traffic${promtool ? '' : ' (skipped: promtool is not installed)'}`,
  async () => {
    const { text, headers } = await broker.call('GET', '/metrics');
    expect(headers['content-type']).toContain('text/plain');
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect({ status: checked.status, said: checked.stdout + checked.stderr }).toEqual({
      status: 0,
      said: '',
    });
  },
);
