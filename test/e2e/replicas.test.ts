import { expect, onTestFinished, test, vi } from 'vitest';
import { startBrokerInside } from '../support/broker/broker-inside.ts';
import { type BrokerProcess, PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { startReplicas } from '../support/broker/broker-replicas.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { startFaultProxy } from '../support/store/fault-proxy.ts';
import { until } from '../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const INTERVAL_MS = 1_000;
/** An interval counts as served for nine tenths of it; the rest is for the timers' jitter. */
const SHORTEST_GAP_MS = 0.9 * INTERVAL_MS;
/** The log rounds to milliseconds, and a busy machine looks at the clock twice. */
const TOLERANCE_MS = 50;
const RUNS = 6;
/** A run tells the others of what was changed here before its end; who is asked looks. */
const SHARED_WITHIN_MS = 8_000;

interface Run {
  startedMs: number;
  /** A replica's first run is for its own start, whoever has served the interval. */
  isFirst: boolean;
}

/** The syncs that took place, in their order. */
function runsOf(replicas: readonly BrokerProcess[]): Run[] {
  return replicas
    .flatMap(({ logs }) =>
      logs
        .filter(({ action, outcome }) => action === 'background_sync' && outcome === 'success')
        .map((line, index) => ({
          startedMs: Date.parse(line.time) - Number(line['latency_ms']),
          isFirst: index === 0,
        })),
    )
    .sort((a, b) => a.startedMs - b.startedMs);
}

describeOnFastEngine('replicas on one table', ({ endpoint }) => {
  test('sync once per interval together, and go on when one of them is killed', {
    timeout: 90_000,
  }, async () => {
    const replicas = await startReplicas({
      endpoint,
      count: 3,
      poolSize: 5,
      env: { SYNC_INTERVAL_SEC: String(INTERVAL_MS / 1000) },
    });
    const alreadyRun = runsOf(replicas).length;
    await until(() => runsOf(replicas).length >= alreadyRun + RUNS, {
      timeoutMs: 10 * RUNS * INTERVAL_MS,
      what: `${RUNS} syncs`,
    });

    const runs = runsOf(replicas);
    const gapsMs = runs.flatMap((run, index) => {
      const previous = runs[index - 1];
      return previous === undefined || run.isFirst ? [] : [run.startedMs - previous.startedMs];
    });
    expect(Math.min(...gapsMs)).toBeGreaterThan(SHORTEST_GAP_MS - TOLERANCE_MS);
    const skipped = await Promise.all(
      replicas.map(async (each) => (await each.metrics())['broker_sync_total{outcome="skipped"}'] ?? 0),
    );
    expect(skipped.reduce((sum, each) => sum + each)).toBeGreaterThan(RUNS);

    await replicas[0]!.kill9();
    const survivors = replicas.slice(1);
    const before = runsOf(survivors).length;
    await until(() => runsOf(survivors).length > before, {
      // It may have been killed in its turn, which then has to lapse first.
      timeoutMs: 40_000,
      what: 'the survivors sync',
    });
  });

  test('know the counts of the pool that another of them has made', async () => {
    const [counting, other] = (await startReplicas({ endpoint, inside: true, count: 2, poolSize: 7 })) as [
      BrokerProcess,
      BrokerProcess,
    ];
    const counts = async () => (await other.metrics())['broker_loop_duration_seconds_count{loop="counts"}'];
    await until(async () => (await counts()) === 1, { what: 'its first count is over' });
    const countedBefore = await counts();
    const { json: lease } = await counting.allocate('student');
    await counting.mark(String(lease.sandbox_id), 'student');
    await counting.allocate('another');
    // Before a run ends, the others are told of what was changed.
    await counting.admin('POST', '/v1/admin/expire');

    const expected = { total: 7, available: 5, allocated: 1, pending_deletion: 1 };
    const stats = await until(
      async () => {
        const { json } = await other.admin('GET', '/v1/admin/stats');
        return json['pending_deletion'] === 1 ? json : undefined;
      },
      { timeoutMs: SHARED_WITHIN_MS, what: 'the other replica knows the counts' },
    );
    expect(stats).toMatchObject(expected);
    expect(await counts()).toBe(countedBefore);
    expect(await other.metrics()).toMatchObject({
      broker_pool_allocated: 1,
      broker_pool_pending_deletion: 1,
    });
  });

  test('count again what changed while they counted: the first sync shows at once', async () => {
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
    onTestFinished(() => proxy.close());
    // So slow that the sync ends while the count that an earlier run asked for is under way.
    await proxy.behave({ kind: 'delay', delayMs: 20 });
    const broker = await startBrokerInside({
      DDB_ENDPOINT_URL: proxy.endpoint,
      DDB_TABLE_NAME: uniqueTable(),
    });
    await broker.logged('a pool to lease from', ({ created }) => created === 20);
    // Well before the next regular count, which comes after 15 s.
    await until(async () => (await broker.admin('GET', '/v1/admin/stats')).json['available'] === 20, {
      timeoutMs: 7_000,
      what: 'the pool is counted',
    });
  });
});
