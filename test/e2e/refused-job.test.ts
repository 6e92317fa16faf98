import { expect, it } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { account, startFakeCsp } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

/** What changed so shortly before a listing is left alone by it. */
const LONGER_THAN_RECENT_MS = 12_000;

describeOnFastEngine('the job of a sync that lacks too much', ({ endpoint }) => {
  it('has failed and says why; with force it is taken at its word', async () => {
    const csp = await startFakeCsp({ token: 'csp-token' });
    for (let count = 0; count < 6; count++) csp.add(account());
    let aheadMs = 0;
    const broker = await startBrokerHere(
      endpoint,
      { CSP_BASE_URL: csp.baseUrl, CSP_API_TOKEN: 'csp-token', SYNC_INTERVAL_SEC: '3600' },
      undefined,
      { clock: { nowMs: () => Date.now() + aheadMs } },
    );
    aheadMs = LONGER_THAN_RECENT_MS;
    for (const uuid of [...csp.accounts.keys()].slice(1)) csp.accounts.delete(uuid);
    csp.add(account());

    const ended = async (options: object) => {
      const { json } = await broker.asAdmin('POST', '/v1/admin/jobs', { type: 'sync', options });
      return await until(
        async () => {
          const { json: job } = await broker.asAdmin('GET', `/v1/admin/jobs/${json['job_id']}`);
          return ['completed', 'failed'].includes(String(job['status'])) ? job : undefined;
        },
        { what: 'the job to end' },
      );
    };
    const refused = await ended({});
    expect(refused).toMatchObject({
      status: 'failed',
      error: { code: 'SYNC_REFUSED', message: expect.stringContaining('lacks 5 of the free sandboxes') },
    });
    // The rest of it was done.
    expect((await broker.asAdmin('GET', '/v1/admin/stats')).json).toMatchObject({ total: 7, stale: 0 });
    expect(await broker.metric('broker_jobs_total{type="sync",outcome="failed"}')).toBe(1);
    expect(await ended({ force: true })).toMatchObject({ status: 'completed', result: { stale: 5 } });
    await csp.close();
  });
});
