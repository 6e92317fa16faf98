import { expect, onTestFinished, test, vi } from 'vitest';
import { startBrokerInside } from '../support/broker/broker-inside.ts';
import { type BrokerProcess, listAll, PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { account, type FakeCsp, startFakeCsp, uuidOf } from '../support/provider/fake-csp.ts';
import { describeOnEngines } from '../support/store/engines.ts';

vi.setConfig(PROCESS_TIMES);

const CSP_TOKEN = 'csp-token-nobody-may-see';
const TRACK_TOKEN = 'track-token-nobody-may-see';
const ADMIN_TOKEN = 'admin-token-nobody-may-see';
const ACCOUNTS = 3;

describeOnEngines('a broker whose sandboxes come from CSP', ({ endpoint }) => {
  async function start(): Promise<{ csp: FakeCsp; broker: BrokerProcess }> {
    const csp = await startFakeCsp({ token: CSP_TOKEN });
    onTestFinished(() => csp.close());
    for (let i = 0; i < ACCOUNTS; i++) csp.add(account({ sfdc_account_id: `sfdc-${i}` }));
    const broker = await startBrokerInside({
      DDB_ENDPOINT_URL: endpoint,
      DDB_TABLE_NAME: uniqueTable(),
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: CSP_TOKEN,
      RETRY_MAX_RETRIES: '0',
      BROKER_API_TOKEN: TRACK_TOKEN,
      BROKER_ADMIN_TOKEN: ADMIN_TOKEN,
      LOG_LEVEL: 'trace',
    });
    await broker.logged('the sync at the start', ({ created }) => created === ACCOUNTS);
    return { csp, broker };
  }

  const expectNoSecrets = ({ logs, stderr }: BrokerProcess) => {
    const said = JSON.stringify(logs) + stderr();
    for (const secret of [CSP_TOKEN, TRACK_TOKEN, ADMIN_TOKEN]) expect(said).not.toContain(secret);
  };

  test('leases an account, has it deleted there when it is given back, and keeps a tombstone', async () => {
    const { csp, broker } = await start();
    const { status, json: lease } = await broker.allocate('student');
    expect(status).toBe(201);
    const leased = [...csp.accounts.values()].find(({ csp_id }) => csp_id === lease.sandbox_id);
    expect(lease).toMatchObject({
      name: leased?.name,
      external_id: leased?.id,
      sfdc_account_id: leased?.sfdc_account_id,
    });
    const id = String(lease.sandbox_id);
    const uuid = uuidOf(leased!);
    expect((await broker.mark(id, 'student')).json).toMatchObject({ status: 'pending_deletion' });

    const cleanup = await broker.admin('POST', '/v1/admin/cleanup', { 'x-correlation-id': 'ticket-4711' });
    expect(cleanup.status).toBe(200);
    expect(cleanup.json).toMatchObject({ status: 'completed', due: 1, deleted: 1, failed: 0 });
    expect(csp.accounts.has(uuid)).toBe(false);
    expect([...csp.deletes]).toEqual([[uuid, { effective: 1, missed: 0 }]]);
    const calls = csp.calls.filter(({ operation }) => operation === 'delete');
    expect(calls.map(({ correlationId }) => correlationId)).toEqual(['ticket-4711']);

    const tombstone = (await broker.admin('GET', `/v1/admin/sandboxes/${id}`)).json;
    expect(tombstone).toMatchObject({ status: 'deleted', deletion_reason: 'destroyed' });
    const history = tombstone['history'] as { action: string; correlation_id: string }[];
    expect(history.map(({ action }) => action).slice(0, 3)).toEqual([
      'sync_created',
      'allocate',
      'mark_for_deletion',
    ]);
    expect(history.at(-1)).toMatchObject({ action: 'cleanup_deleted', correlation_id: 'ticket-4711' });
    // Whoever asks again is told that it is done; nobody gets it a second time.
    expect((await broker.mark(id, 'student')).json).toMatchObject({ status: 'deleted' });
    const others = [await broker.allocate('second'), await broker.allocate('third')];
    expect(others.map(({ status: each }) => each)).toEqual([201, 201]);
    expect((await broker.allocate('fourth')).status).toBe(409);
    expectNoSecrets(broker);
  });

  test('says so when CSP fails or is gone, and leaves the pool as it is', async () => {
    const { csp, broker } = await start();
    const before = await listAll(broker);
    expect(before).toHaveLength(ACCOUNTS);

    csp.faults.add('list', { kind: 'respond', status: 500, body: `{"token":"${CSP_TOKEN}"}` });
    const failing = await broker.admin('POST', '/v1/admin/sync');
    await csp.close();
    const gone = await broker.admin('POST', '/v1/admin/sync');

    for (const { status, headers, json } of [failing, gone]) {
      expect(status).toBe(502);
      expect(json.error).toMatchObject({
        code: 'PROVIDER_UNAVAILABLE',
        message: expect.any(String),
        request_id: headers['x-request-id'],
        retry_after: Number(headers['retry-after']),
      });
    }
    expect(await listAll(broker)).toEqual(before);
    expect((await broker.allocate('student')).status).toBe(201);
    expect((await broker.call('GET', '/readyz')).status).toBe(200);
    expectNoSecrets(broker);
  });
});
