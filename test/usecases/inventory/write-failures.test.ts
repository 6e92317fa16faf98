import { expect, test } from 'vitest';
import { importSandboxes } from '../../../src/usecases/inventory/import-sandboxes.ts';
import { context } from '../../support/broker/core.ts';
import { records, someAccounts, startCspCore, sync } from '../../support/broker/csp-core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { failWith, injectFaults, refusedForGood } from '../../support/store/injected-faults.ts';
import { change, idOf, NOTHING, startWith } from './sync-steps.ts';

const COUNT = 100;

describeOnFastEngine('a write that fails for good', ({ endpoint }) => {
  /** Every write of what bears this id fails. */
  function refuse(core: Parameters<typeof sync>[0], id: string) {
    const faults = injectFaults(core.client);
    for (const operation of ['TransactWriteItems', 'PutItem']) {
      const matching = ({ json }: { json: string }) => json.includes(`"${id}"`);
      faults.next(operation, failWith(refusedForGood), { times: Number.POSITIVE_INFINITY, matching });
    }
    return faults;
  }

  test('keeps none of the others out of a sync, which counts it, says which, and comes back to it', async () => {
    const { core, csp } = await startCspCore(endpoint);
    const accounts = csp.add(...someAccounts(COUNT));
    const bad = idOf(accounts[40]);
    const faults = refuse(core, bad);
    expect(await sync(core)).toEqual({
      ...NOTHING,
      listed: COUNT,
      unchanged: 0,
      created: COUNT - 1,
      failed: 1,
    });
    expect(core.backgroundErrors).toMatchObject([
      { chore: 'sync', error: { message: `${bad} is left for the next run` } },
    ]);
    faults.clear();
    core.clock.advanceSeconds(60);
    expect(await sync(core)).toEqual({ ...NOTHING, listed: COUNT, unchanged: COUNT - 1, created: 1 });
  });

  test('of the only one of its kind keeps no other kind out of a sync', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 3);
    core.clock.advanceSeconds(60);
    const [added] = csp.add(...someAccounts(1));
    change(csp, accounts[0], { name: 'another' });
    refuse(core, idOf(added));
    expect(await sync(core)).toMatchObject({ created: 0, updated: 1, failed: 1, skipped: 0 });
  });

  test('fails a sync where all do, and ends it soon where the store is away', async () => {
    const { core, csp } = await startCspCore(endpoint);
    csp.add(...someAccounts(COUNT));
    const faults = injectFaults(core.client);
    for (const operation of ['TransactWriteItems', 'PutItem']) {
      faults.next(operation, failWith(refusedForGood), { times: Number.POSITIVE_INFINITY });
    }
    await expect(sync(core)).rejects.toThrow('not this one');
    expect(core.backgroundErrors).toHaveLength(10);
  });

  test('keeps none of the others out of an import, which names it', async () => {
    const { core } = await startCspCore(endpoint);
    const importAll = importSandboxes(core);
    const items = Array.from({ length: COUNT }, (_, n) => ({
      sandboxId: `sbx-${n}`,
      name: `pool-${n}`,
      externalId: `accounts/${n}`,
      metadata: {},
    }));
    const faults = refuse(core, 'sbx-7');
    expect(await importAll(items, context())).toEqual({
      created: COUNT - 1,
      kept: 0,
      failed: 1,
      failed_sandboxes: ['sbx-7'],
    });
    expect(await records(core)).toHaveLength(COUNT - 1);
    faults.clear();
    expect(await importAll(items, context())).toEqual({ created: 1, kept: COUNT - 1 });
  });
});
