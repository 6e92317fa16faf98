import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type Answer,
  type BrokerProcess,
  PROCESS_TIMES,
  startBroker,
  tally,
} from '../support/broker/broker-process.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { enginesWith } from '../support/processes.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { startFaultProxy } from '../support/store/fault-proxy.ts';
import { temporaryFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

vi.setConfig(PROCESS_TIMES);

/** Short, so that runs fail during the outage and succeed after it within the test. */
const QUICK_LOOPS = {
  SYNC_INTERVAL_SEC: '0.2',
  CLEANUP_INTERVAL_SEC: '0.2',
  AUTO_EXPIRY_INTERVAL_SEC: '0.2',
};
const RECOVERED_WITHIN_MS = 20_000;
/** At the most. */
const WATCHED_FOR_MS = 120_000;

/** Asks for signs of life over and over until told to end, and gives the worst that it saw. */
function watch(broker: BrokerProcess) {
  const seen = { healthz: new Set<number>(), metrics: new Set<number>(), slowestMs: 0 };
  let watching = true;
  const ask = (path: '/healthz' | '/metrics', statuses: Set<number>) => {
    const look = async () => {
      const startedMs = performance.now();
      statuses.add((await broker.call('GET', path)).status);
      seen.slowestMs = Math.max(seen.slowestMs, performance.now() - startedMs);
      return !watching;
    };
    return until(look, { timeoutMs: WATCHED_FOR_MS, what: 'the end of the watch' });
  };
  const done = Promise.all([ask('/healthz', seen.healthz), ask('/metrics', seen.metrics)]);
  // Where the test fails earlier, the broker is killed under it, and nobody asks for the result.
  done.catch(() => undefined);
  return async () => {
    watching = false;
    await done;
    return seen;
  };
}

const servingIs = (broker: BrokerProcess, status: 'ready' | 'refusing') =>
  until(async () => (await broker.call('GET', '/readyz')).json['status'] === status, {
    timeoutMs: RECOVERED_WITHIN_MS,
    what: `/readyz says ${status}`,
  });

/** Successful runs so far, by loop. */
async function successes(broker: BrokerProcess): Promise<number[]> {
  const samples = await broker.metrics();
  return ['sync', 'cleanup', 'expiry'].map((loop) => samples[`broker_${loop}_total{outcome="success"}`] ?? 0);
}

async function loopsGoOn(broker: BrokerProcess): Promise<void> {
  const before = await successes(broker);
  await until(async () => (await successes(broker)).every((count, index) => count > (before[index] ?? 0)), {
    timeoutMs: RECOVERED_WITHIN_MS,
    what: 'every loop has a successful run again',
  });
}

/** The answer and how long it took, milliseconds. */
async function timed(call: Promise<Answer>): Promise<Answer & { tookMs: number }> {
  const startedMs = performance.now();
  const answer = await call;
  return { ...answer, tookMs: performance.now() - startedMs };
}

describeOnFastEngine('a broker whose store is out of reach', ({ endpoint }) => {
  async function setUp(env: Record<string, string> = {}) {
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
    onTestFinished(() => proxy.close());
    const broker = await startBroker({
      env: { DDB_ENDPOINT_URL: proxy.endpoint, DDB_TABLE_NAME: uniqueTable(), ...QUICK_LOOPS, ...env },
    });
    await broker.logged('a pool to lease from', ({ created }) => created === 20);
    const lease = await broker.allocate('holder');
    await until(async () => (await broker.admin('GET', '/v1/admin/stats')).json['total'] === 20, {
      timeoutMs: RECOVERED_WITHIN_MS,
      what: 'the pool is counted',
    });
    return { proxy, broker, sandboxId: String(lease.json.sandbox_id) };
  }

  test.for([
    // Refused at once: a few tries and their pauses.
    { outage: 'refuse', boundMs: 4_000 },
    // Nobody says no: the store's own limit of 10 s, and what a busy machine adds.
    { outage: 'black_hole', boundMs: 13_000 },
  ] as const)(
    'lives, stays in service to say that it serves nobody, refuses in bounded time, and recovers by itself: $outage',
    async ({ outage, boundMs }) => {
      const { proxy, broker, sandboxId } = await setUp({ ALLOCATE_DEADLINE_MS: '3000' });
      const endWatch = watch(broker);
      await proxy.behave({ kind: outage });
      proxy.cutConnections();

      await servingIs(broker, 'refusing');
      const refusing = await broker.call('GET', '/readyz');
      expect(refusing.status).toBe(200);
      expect(refusing.json).toMatchObject({
        verdict: 'no_go',
        checks: { dynamodb: 'error: the store does not answer' },
        error: { code: 'STORE_UNAVAILABLE' },
      });
      expect(refusing.text).not.toMatch(/ECONN|127\.0\.0\.1|at .*\.ts/);

      const [allocation, mark, look, list] = await Promise.all([
        timed(broker.allocate('another')),
        timed(broker.mark(sandboxId, 'holder')),
        timed(broker.call('GET', `/v1/sandboxes/${sandboxId}`, { headers: HOLDER })),
        timed(broker.admin('GET', '/v1/admin/sandboxes')),
      ] as const);
      const refusals = [allocation, mark, look, list];
      expect(tally(refusals)).toEqual({ '503 STORE_UNAVAILABLE': refusals.length });
      for (const { headers, json } of refusals) {
        expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
        expect(json.error?.retry_after).toBe(Number(headers['retry-after']));
      }
      expect(Math.max(...refusals.map(({ tookMs }) => tookMs))).toBeLessThan(boundMs);
      expect(allocation.tookMs).toBeLessThan(Math.min(boundMs, 5_000));
      // The last counts are still known, with their age.
      expect((await broker.admin('GET', '/v1/admin/stats')).json).toMatchObject({ total: 20 });

      await proxy.behave({ kind: 'pass' });
      await servingIs(broker, 'ready');
      expect((await broker.allocate('holder')).json.sandbox_id).toBe(sandboxId);
      expect((await broker.allocate('another')).status).toBeLessThan(300);
      expect((await broker.mark(sandboxId, 'holder')).status).toBe(200);
      await loopsGoOn(broker);
      const { healthz, metrics, slowestMs } = await endWatch();
      expect([[...healthz], [...metrics]]).toEqual([[200], [200]]);
      expect(slowestMs).toBeLessThan(3_000);
    },
  );
});

test('a broker whose embedded engine is killed restarts it, and loses no lease', async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'pool.db');
  const broker = await startBroker({
    cwd: folder,
    env: { SANDBOX_DB_URL: `embedded:${file}`, ...QUICK_LOOPS },
  });
  await broker.logged('a pool to lease from', ({ created }) => created === 20);
  const lease = await broker.allocate('holder');
  const endWatch = watch(broker);

  process.kill(enginesWith(file)[0]!.pid, 'SIGKILL');
  const restarted = broker.logged('the engine is back', ({ outcome }) => outcome === 'restarted');
  // While it is away, whoever calls gets the lease or is told to come again: nothing else, and no waiting for ever.
  const answers: Answer[] = [];
  while (!broker.logs.some(({ outcome }) => outcome === 'restarted')) {
    answers.push(await broker.allocate('holder'));
  }
  await restarted;

  await servingIs(broker, 'ready');
  const kinds = Object.keys(tally([...answers, await broker.allocate('holder')]));
  expect(['200', '503 STORE_UNAVAILABLE']).toEqual(expect.arrayContaining(kinds));
  const replay = await broker.allocate('holder');
  expect([replay.status, replay.json.sandbox_id]).toEqual([200, lease.json.sandbox_id]);
  await loopsGoOn(broker);
  expect([...(await endWatch()).healthz]).toEqual([200]);
});

const HOLDER = { authorization: 'Bearer dev-track-token', 'x-track-id': 'holder' };
