import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createStoreClient } from '../../../src/store/dynamo/client.ts';
import { startEngine } from '../../../src/store/engine/engine.ts';
import {
  type BrokerProcess,
  PROCESS_TIMES,
  startBroker,
  tally,
} from '../../support/broker/broker-process.ts';
import { LOCAL_CREDENTIALS, uniqueTable } from '../../support/broker/core.ts';
import { readLeftovers } from '../../support/leftovers.ts';
import { enginesWith } from '../../support/processes.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { startFaultProxy } from '../../support/store/fault-proxy.ts';
import { temporaryFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const IN_FLIGHT = 200;
/** An engine ends, and a port is closed, well within this time, or not at all. */
const GONE_WITHIN_MS = 5_000;
/** The loops never rest: whenever the signal comes, a turn is being taken, held or given up. */
const RESTLESS_LOOPS = {
  SYNC_INTERVAL_SEC: '0.05',
  CLEANUP_INTERVAL_SEC: '0.05',
  AUTO_EXPIRY_INTERVAL_SEC: '0.05',
};

/** The shortest deadline: what a shutdown has to wait for at least. */
const SHORT = { ALLOCATE_DEADLINE_MS: '100' };

const holders = (count: number, name = 'student') =>
  Array.from({ length: count }, (_, index) => `${name}-${index}`);

const isShuttingDown = ({ action, msg }: { action?: string; msg: string }): boolean =>
  action === 'shutdown' && msg === 'shutting down';

/** A broker with an engine of its own on a file in `folder`, and a hand that stops the engine's time. */
async function startEmbedded(env: Record<string, string>) {
  const folder = await temporaryFolder();
  const file = join(folder, 'data', 'sandbox-broker.db');
  const broker = await startBroker({ cwd: folder, env: { SANDBOX_DB_URL: `embedded:${file}`, ...env } });
  const [engine] = enginesWith(file);
  if (engine === undefined) throw new Error('the broker has no engine');
  const signalEngine = (signal: NodeJS.Signals) => () => process.kill(engine.pid, signal);
  return {
    file,
    broker,
    /** From now on calls to the store stay under way. */
    freeze: signalEngine('SIGSTOP'),
    thaw: signalEngine('SIGCONT'),
    engineIsGone: () =>
      until(() => enginesWith(file).length === 0, { timeoutMs: GONE_WITHIN_MS, what: 'the engine is gone' }),
  };
}

/** An answer to a question that came later: the broker has read everything that was sent before. */
async function hasReadEverything(broker: BrokerProcess): Promise<void> {
  for (const _ of [1, 2]) expect((await broker.call('GET', '/healthz')).status).toBe(200);
}

describe('a broker that is told to end', () => {
  test('answers 200 requests in flight, ends with 0, and leaves no engine, turn or replica behind', async () => {
    const { file, broker, freeze, thaw, engineIsGone } = await startEmbedded({
      SIMULATED_POOL_SIZE: '300',
      ...RESTLESS_LOOPS,
    });
    await broker.logged('a pool to lease from', ({ created }) => created === 300);
    // The connections are there before the requests, so that nothing of these is still to be accepted.
    await Promise.all(holders(IN_FLIGHT).map(() => broker.call('GET', '/healthz')));

    freeze();
    let answered = 0;
    const requests = holders(IN_FLIGHT).map(async (holder) => {
      const answer = await broker.allocate(holder);
      answered += 1;
      return answer;
    });
    await hasReadEverything(broker);
    const exit = broker.stop('SIGTERM');
    await broker.logged('the shutdown begins', isShuttingDown);
    expect(answered).toBe(0);
    thaw();

    expect(tally(await Promise.all(requests))).toEqual({ 201: IN_FLIGHT });
    expect(await exit).toEqual({ code: 0, signal: null });
    const begun = broker.logs.findIndex(isShuttingDown);
    const finishedLater = broker.logs.slice(begun).filter(({ endpoint }) => endpoint === '/v1/allocate');
    expect(finishedLater).toHaveLength(IN_FLIGHT);
    expect(broker.logs.at(-1)).toMatchObject({ action: 'shutdown', outcome: 'success' });
    expect(broker.logs.filter(({ level }) => level === 'error')).toEqual([]);
    expect(broker.stderr()).toBe('');
    await engineIsGone();

    const engine = await startEngine({ file });
    onTestFinished(() => engine.stop());
    const { loops, heldTurns, replicas } = await readLeftovers(engine.endpoint);
    expect(loops.length).toBeGreaterThan(0);
    expect({ heldTurns, replicas }).toEqual({ heldTurns: [], replicas: [] });
  });

  test('is not ready any more while it drains, and serves whoever still comes', async () => {
    const broker = await startBroker({ env: { SANDBOX_DB_URL: 'memory:', SHUTDOWN_DRAIN_MS: '1500' } });
    await broker.logged('a pool to lease from', ({ created }) => created === 20);
    expect((await broker.call('GET', '/readyz')).status).toBe(200);

    const exit = broker.stop('SIGTERM');
    await broker.logged('the shutdown begins', isShuttingDown);
    const readiness = await broker.call('GET', '/readyz');
    const lease = await broker.allocate('latecomer');
    const health = await broker.call('GET', '/healthz');

    expect(readiness.status).toBe(503);
    expect(readiness.json).toMatchObject({ checks: { dynamodb: 'ok', shutdown: 'shutting_down' } });
    expect(readiness.headers['retry-after']).toBeDefined();
    expect([lease.status, health.status]).toEqual([201, 200]);
    expect(await exit).toEqual({ code: 0, signal: null });
  });

  test('ends at once on a second signal, whatever it waits for', async () => {
    const { broker, freeze, engineIsGone } = await startEmbedded({});
    await broker.logged('a pool to lease from', ({ created }) => created === 20);
    freeze();
    const request = broker.allocate('nobody').catch(() => 'cut off');
    await hasReadEverything(broker);
    void broker.stop('SIGTERM');
    await broker.logged('the shutdown begins', isShuttingDown);

    expect(await broker.stop('SIGTERM')).toEqual({ code: 1, signal: null });
    expect(broker.stderr()).toBe('A second SIGTERM: gone at once.\n');
    expect(await request).toBe('cut off');
    await engineIsGone();
  });

  test('that hangs on its store names the step, ends with 1 and takes its engine along', async () => {
    const { broker, freeze, engineIsGone } = await startEmbedded({ ...SHORT, SHUTDOWN_TIMEOUT_MS: '500' });
    await broker.logged('a pool to lease from', ({ created }) => created === 20);
    freeze();
    const request = broker.allocate('nobody');
    await hasReadEverything(broker);

    expect(await broker.stop('SIGTERM')).toEqual({ code: 1, signal: null });
    expect(broker.stderr()).toMatch(/^The shutdown took longer than 500 ms; it hung at: [a-z ]+\.\n$/);
    expect((await request).status).toBe(503);
    await engineIsGone();
  });
});

describeOnFastEngine('a turn that is being taken when the broker is told to end', ({ endpoint }) => {
  test('is given up', async () => {
    const table = uniqueTable();
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
    onTestFinished(() => proxy.close());
    const broker = await startBroker({
      env: {
        DDB_ENDPOINT_URL: proxy.endpoint,
        DDB_TABLE_NAME: table,
        DDB_BUCKETS: '1',
        SYNC_INTERVAL_SEC: '0.3',
      },
    });
    await broker.logged('a pool to lease from', ({ created }) => created === 20);
    const client = createStoreClient({ endpoint, table, region: 'local', credentials: LOCAL_CREDENTIALS });
    onTestFinished(() => client.close());
    const fence = async () => Number((await client.get({ pk: 'TURN#sync', sk: 'T' }))?.fence);

    // The turn is taken when the fence moves; the replica learns of it only half a second later.
    await proxy.behave({ kind: 'delay', delayMs: 500 });
    const before = await fence();
    await until(async () => (await fence()) > before, { what: 'the next turn' });
    const exit = broker.stop('SIGTERM');
    await broker.logged('the shutdown begins', isShuttingDown);

    expect(await exit).toEqual({ code: 0, signal: null });
    expect(await readLeftovers(endpoint, table)).toMatchObject({ heldTurns: [], replicas: [] });
  });
});
