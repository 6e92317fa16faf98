import { expect, it } from 'vitest';
import { deleteExpired } from '../../src/store/expired.ts';
import { startCore } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { failWith, injectFaults, refusedForGood } from '../support/store/injected-faults.ts';

const never = () => AbortSignal.timeout(10_000);

describeOnFastEngine('expired items', ({ endpoint }) => {
  it('deletes what TTL should have deleted, and nothing whose time is not over or that has none', async () => {
    const core = await startCore(endpoint);
    const nowSeconds = Math.floor(core.clock.nowMs() / 1000);
    const items = [
      { pk: 'I#over', sk: 'I', ttl: nowSeconds - 1 },
      { pk: 'I#now', sk: 'I', ttl: nowSeconds },
      { pk: 'I#later', sk: 'I', ttl: nowSeconds + 60 },
      { pk: 'I#never', sk: 'I' },
    ];
    for (const Item of items) await core.client.put({ Item });

    const deleted = await deleteExpired(core.client, core.clock.nowMs(), never(), () => undefined);

    expect(deleted).toBe(1);
    const left = await Promise.all(items.map(({ pk, sk }) => core.client.get({ pk, sk })));
    expect(left.map((item) => item?.pk)).toEqual([undefined, 'I#now', 'I#later', 'I#never']);
    core.close();
  });

  it('keep none of the others when one cannot be deleted, which is told of', async () => {
    const core = await startCore(endpoint);
    const ttl = Math.floor(core.clock.nowMs() / 1000) - 1;
    for (let n = 0; n < 20; n++) await core.client.put({ Item: { pk: `I#${n}`, sk: 'I', ttl } });
    injectFaults(core.client).next('DeleteItem', failWith(refusedForGood));
    const failed: string[] = [];
    const sweep = () =>
      deleteExpired(core.client, core.clock.nowMs(), never(), ({ pk }) => void failed.push(pk));
    expect(await sweep()).toBe(19);
    expect(failed).toHaveLength(1);
    expect(await sweep()).toBe(1);
    core.close();
  });
});
