import { expect, test } from 'vitest';
import { rememberServedKeys } from '../../../src/usecases/leases/served-keys.ts';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
import { allocate, mark } from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

test('of the keys that were served the newest ten thousand are remembered', () => {
  const keys = rememberServedKeys();
  for (let number = 0; number < 30_000; number++) keys.add(`k-${number}`);
  const kept = Array.from({ length: 30_000 }, (_, number) => keys.has(`k-${number}`)).filter(Boolean);
  expect([kept.length, keys.has('k-29999')]).toEqual([10_000, true]);
});

describeOnEngines('a call that is repeated while sandboxes are free', ({ endpoint }) => {
  /** The calls by which `core` serves the holder: reads of its key, and transactions. */
  async function callsOf(core: TestCore, holder: string): Promise<[reads: number, transactions: number]> {
    core.calls.clear();
    await allocate(core, holder);
    return [core.calls.count('GetItem'), core.calls.count('TransactWriteItems')];
  }

  test('is one read, and a transaction where the lease may be over', async () => {
    const core = await startCore(endpoint, { poolSize: 4 });
    await core.readyList.refresh();
    expect(await callsOf(core, 'anna')).toEqual([0, 1]);
    expect(await callsOf(core, 'anna')).toEqual([1, 0]);

    const replica = await core.replica();
    await replica.readyList.refresh();
    expect(await callsOf(replica, 'anna')).toEqual([0, 1]);
    expect(await callsOf(replica, 'anna')).toEqual([1, 0]);

    const { sandboxId } = (await allocate(core, 'anna')).lease;
    await mark(core, 'anna', sandboxId);
    expect(await callsOf(core, 'anna')).toEqual([0, 1]);
    await core.useCases.releaseSandbox((await allocate(core, 'anna')).lease.sandboxId, context('admin'));
    await replica.readyList.refresh();
    expect(await callsOf(replica, 'anna')).toEqual([1, 1]);
    for (const each of [core, replica]) each.close();
  });
});
