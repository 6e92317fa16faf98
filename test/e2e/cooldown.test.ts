import { expect, test } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';

describeOnFastEngine('a broker with COOLDOWN_SEC', ({ endpoint }) => {
  test('frees what it has cleaned by itself, and counts it all the while', async () => {
    const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1', COOLDOWN_SEC: '1.5' });
    const { json: lease } = await here.asTrack('POST', '/v1/allocate', 'ada');
    await here.asTrack('POST', `/v1/sandboxes/${lease['sandbox_id']}/mark-for-deletion`, 'ada');
    await here.asAdmin('POST', '/v1/admin/cleanup');
    const stats = async () => (await here.asAdmin('GET', '/v1/admin/stats')).json;
    expect(await stats()).toMatchObject({ cooling: 1, available: 0, total: 1 });
    const record = (await here.asAdmin('GET', `/v1/admin/sandboxes/${lease['sandbox_id']}`)).json;
    expect(record).toMatchObject({ status: 'cooling', cooling_until: expect.any(Number) });
    await expect.poll(stats, { timeout: 10_000 }).toMatchObject({ cooling: 0, available: 1 });
  });
});
