import { expect, onTestFinished, test, vi } from 'vitest';
import { startBrokerInside } from '../../support/broker/broker-inside.ts';
import {
  ADMIN_TOKEN,
  type BrokerProcess,
  PROCESS_TIMES,
  startBroker,
} from '../../support/broker/broker-process.ts';
import { uniqueTable } from '../../support/broker/core.ts';
import { someAccounts } from '../../support/broker/csp-core.ts';
import { readLeftovers } from '../../support/leftovers.ts';
import { type FakeCsp, startFakeCsp } from '../../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { until } from '../../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const USED = 12;
const AT_ONCE = 5;
/** The loops come by at the start only. */
const QUIET = { SYNC_INTERVAL_SEC: '3600', CLEANUP_INTERVAL_SEC: '3600', AUTO_EXPIRY_INTERVAL_SEC: '3600' };

const deletesSent = (csp: FakeCsp): number =>
  csp.calls.filter(({ operation }) => operation === 'delete').length;

const runsOf = ({ logs }: BrokerProcess, action: string) =>
  logs.filter((line) => line.action === action && line.outcome !== 'skipped').at(-1);

describeOnFastEngine('a broker that is told to end during a run', ({ endpoint }) => {
  /** A broker whose pool has been used up and given back, and a second one on the same table. */
  async function startWithUsed(env: Record<string, string> = {}, start = startBrokerInside) {
    const csp = await startFakeCsp({ token: 'csp-token' });
    onTestFinished(() => csp.close());
    csp.add(...someAccounts(USED));
    const table = uniqueTable();
    const shared = {
      DDB_ENDPOINT_URL: endpoint,
      DDB_TABLE_NAME: table,
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: 'csp-token',
      CLEANUP_CONCURRENCY: String(AT_ONCE),
      ...QUIET,
      ...env,
    };
    const broker = await start(shared);
    await broker.logged('a pool to lease from', ({ created }) => created === USED);
    for (let n = 0; n < USED; n++) {
      const { json } = await broker.allocate(`student-${n}`);
      await broker.mark(String(json.sandbox_id), `student-${n}`);
    }
    return { csp, table, broker, startOther: () => startBrokerInside(shared) };
  }

  test('sends no delete any more, tells the caller what was done, and leaves turn and claims to another at once', async () => {
    const { csp, table, broker, startOther } = await startWithUsed({}, (env) => startBroker({ env }));
    // Five are at the provider, and stay there until the broker has been told.
    const { promise: told, resolve: tell } = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: told }, { times: USED });
    const cleanup = broker.admin('POST', '/v1/admin/cleanup');
    await csp.arrived('delete', AT_ONCE);
    const exit = broker.stop('SIGTERM');
    await broker.logged('the shutdown begins', ({ msg }) => msg === 'shutting down');
    tell();

    const { status, json, headers } = await cleanup;
    expect(await exit).toEqual({ code: 0, signal: null });
    expect(deletesSent(csp)).toBe(AT_ONCE);
    expect(status).toBe(200);
    expect(headers.connection).toBe('close');
    expect(json).toMatchObject({
      due: USED,
      deleted: AT_ONCE,
      skipped: USED - AT_ONCE,
      aborted: true,
    });
    expect(runsOf(broker, 'background_cleanup')).toMatchObject({ outcome: 'aborted', deleted: AT_ONCE });
    expect(broker.stderr()).toBe('');
    const { heldTurns, replicas, claimed } = await readLeftovers(endpoint, table);
    expect({ heldTurns, replicas, claimed }).toEqual({ heldTurns: [], replicas: [], claimed: [] });

    // Its first run is at its start; the rest of the queue is due to it.
    csp.faults.clear();
    await startOther();
    await until(() => csp.accounts.size === 0, { what: 'another replica has cleaned up the rest' });
    expect([...csp.deletes.values()].every(({ effective, missed }) => effective + missed === 1)).toBe(true);
  });

  test('puts the job back that carried it, for another replica', async () => {
    const { csp, broker, startOther } = await startWithUsed();
    const { promise: told, resolve: tell } = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: told }, { times: USED });
    const headers = { prefer: 'respond-async' };
    const { json } = await broker.admin('POST', '/v1/admin/cleanup', headers);
    await csp.arrived('delete', AT_ONCE);
    const exit = broker.stop('SIGTERM');
    await broker.logged('the shutdown begins', ({ msg }) => msg === 'shutting down');
    tell();
    expect(await exit).toEqual({ code: 0, signal: null });
    expect(
      broker.logs.find(({ action, outcome }) => action === 'job' && outcome === 'interrupted'),
    ).toBeDefined();
    csp.faults.clear();
    const other = await startOther();
    const job = () => other.admin('GET', `/v1/admin/jobs/${json['job_id']}`);
    await until(async () => (await job()).json['status'] === 'completed', { what: 'another ends the job' });
  });

  test('leaves a delete that hangs to its claim and its record, and ends with 0 in time', async () => {
    const { csp, table, broker } = await startWithUsed(
      { SHUTDOWN_TIMEOUT_MS: '4000', ALLOCATE_DEADLINE_MS: '100' },
      (env) => startBroker({ env }),
    );
    csp.faults.add('delete', { kind: 'hang' }, { times: USED });
    const cleanup = broker.admin('POST', '/v1/admin/cleanup');
    await csp.arrived('delete', AT_ONCE);

    expect(await broker.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    const { status, json } = await cleanup;
    expect([status, json.error?.code, json.error?.retry_after]).toEqual([503, 'SHUTTING_DOWN', 1]);
    expect(deletesSent(csp)).toBe(AT_ONCE);
    const { heldTurns, replicas, claimed } = await readLeftovers(endpoint, table);
    expect({ heldTurns, replicas, claimed: claimed.length }).toEqual({
      heldTurns: [],
      replicas: [],
      claimed: AT_ONCE,
    });
  });

  test('refuses a run that is asked for while it drains, and says where to go', async () => {
    const broker = await startBrokerInside({
      SANDBOX_DB_URL: 'memory:',
      SHUTDOWN_DRAIN_MS: '2000',
      ...QUIET,
    });
    const exit = broker.stop('SIGTERM');
    await broker.logged('the shutdown begins', ({ msg }) => msg === 'shutting down');
    const { status, json, headers } = await broker.call('POST', '/v1/admin/cleanup', {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    expect([status, json.error?.code]).toEqual([503, 'SHUTTING_DOWN']);
    expect(headers).toMatchObject({ 'retry-after': '1', connection: 'close' });
    expect(await exit).toEqual({ code: 0, signal: null });
  });
});
