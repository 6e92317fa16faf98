import { expect, it, onTestFinished } from 'vitest';
import type { StaleSandbox } from '../../src/domain/sandbox.ts';
import { readCounts, writeCounts } from '../../src/store/shared/counts.ts';
import { type BrokerHere, startBrokerHere } from '../support/broker/broker-here.ts';
import { startCore } from '../support/broker/core.ts';
import { availableSandbox, START_MS } from '../support/broker/fake-app-deps.ts';
import { account, startFakeCsp } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

const RARE_LOOPS = {
  SYNC_INTERVAL_SEC: '3600',
  CLEANUP_INTERVAL_SEC: '3600',
  AUTO_EXPIRY_INTERVAL_SEC: '3600',
};

const statsOf = async ({ asAdmin }: BrokerHere) => (await asAdmin('GET', '/v1/admin/stats')).json;

/** Carries a run out, once a replica's own first one is over. */
const done = (broker: BrokerHere, path: string): Promise<number> =>
  until(
    async () => {
      const { status } = await broker.asAdmin('POST', path);
      expect(status).toBe(200);
      return status;
    },
    { what: `${path} to be done` },
  );

describeOnFastEngine('numbers that are asked for right after a run', ({ endpoint }) => {
  async function startTwo() {
    const csp = await startFakeCsp({ token: 'csp-token' });
    csp.add(account());
    const env = { ...RARE_LOOPS, CSP_BASE_URL: csp.baseUrl, CSP_API_TOKEN: 'csp-token' };
    const one = await startBrokerHere(endpoint, env);
    const two = await startBrokerHere(endpoint, { ...env, DDB_TABLE_NAME: one.table });
    return { csp, one, two };
  }

  it('have what the run did, whichever replica is asked', async () => {
    const { csp, one, two } = await startTwo();
    for (let total = 2; total <= 6; total++) {
      csp.add(account());
      await done(total % 2 ? one : two, '/v1/admin/sync');
      expect((await statsOf(one))['total']).toBe(total);
      expect((await statsOf(two))['total']).toBe(total);
    }

    const { json: held } = await two.asTrack('POST', '/v1/allocate', 'another');
    expect(await statsOf(two)).toMatchObject({ available: 5, allocated: 1 });
    await two.asAdmin('POST', `/v1/admin/sandboxes/${held['sandbox_id']}/release`);
    for (const broker of [one, two]) {
      expect(await statsOf(broker)).toMatchObject({ available: 5, allocated: 0, pending_deletion: 1 });
    }
    const { json: lease } = await one.asTrack('POST', '/v1/allocate', 'student');
    await one.asTrack('POST', `/v1/sandboxes/${lease['sandbox_id']}/mark-for-deletion`, 'student');
    await done(one, '/v1/admin/cleanup');
    expect(await statsOf(two)).toMatchObject({ allocated: 0, pending_deletion: 0 });

    const core = await startCore(endpoint, { table: one.table, buckets: 4 });
    onTestFinished(core.close);
    const stale: StaleSandbox = { ...availableSandbox, status: 'stale', staleSinceMs: START_MS };
    await core.store.writeAll([{ seen: undefined, next: stale, event: undefined }]);
    const counted = await core.work.count(AbortSignal.timeout(10_000), { consistent: true });
    const published = await readCounts(core.client);
    await writeCounts(core.client, { ...published, ...counted, asOfMs: Date.now() });
    expect(await statsOf(two)).toMatchObject({ stale: 1, total: 5 });
    await done(one, '/v1/admin/bulk-delete?status=stale');
    expect(await statsOf(two)).toMatchObject({ stale: 0 });
    expect(await statsOf(one)).toMatchObject({ stale: 0, total: 4 });
    await csp.close();
  });

  it('have what a job did once the job is completed', async () => {
    const { csp, one, two } = await startTwo();
    csp.add(account(), account());
    const { json: job } = await one.asAdmin('POST', '/v1/admin/jobs', { type: 'sync' });
    const path = `/v1/admin/jobs/${job['job_id']}`;
    await until(async () => (await two.asAdmin('GET', path)).json['status'] === 'completed', {
      what: 'the job to be completed',
    });
    expect((await statsOf(two))['total']).toBe(3);
    expect((await statsOf(one))['total']).toBe(3);
    await csp.close();
  });
});
