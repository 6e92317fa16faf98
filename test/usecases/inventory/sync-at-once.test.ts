import { expect, it } from 'vitest';
import type { TestCore } from '../../support/broker/core.ts';
import {
  allocate,
  lease,
  recordOf,
  records,
  replicaOfTest,
  someAccounts,
  startCspCore,
  sync,
} from '../../support/broker/csp-core.ts';
import { account } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { holdCalls, injectFaults } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { change, idOf, startWith, vanish } from './sync-steps.ts';

/** A sync that has read all it needs and is about to write. */
async function syncStoppedBeforeWriting(core: TestCore) {
  const held = holdCalls();
  injectFaults(core.client).next('TransactWriteItems', held.fault);
  const run = sync(core);
  await until(() => held.waiting === 1, { what: 'the sync is about to write' });
  return { run, release: held.release };
}

describeOnEngines('a sync and others at once', ({ endpoint }) => {
  it('a sandbox that is leased while CSP still answers is not touched, though the answer lacks it', async () => {
    const { core, csp } = await startWith(endpoint, 1);
    const held = Promise.withResolvers<void>();
    csp.faults.add('list', { kind: 'hold', until: held.promise });
    const run = sync(core, true);
    await csp.arrived('list', 2);
    const granted = await lease(core, 'a');
    const before = await recordOf(core, granted.sandboxId);
    csp.accounts.clear();
    held.resolve();
    expect(await run).toMatchObject({ stale: 0, skipped: 0 });
    expect(await recordOf(core, granted.sandboxId)).toEqual(before);
  });

  it('a sandbox that another replica learnt of while CSP still answered is not missing from that answer', async () => {
    const { core, csp } = await startWith(endpoint, 2);
    const replica = await replicaOfTest(core);
    const held = Promise.withResolvers<void>();
    csp.faults.add('list', { kind: 'hold', until: held.promise });
    const run = sync(core);
    await csp.arrived('list', 2);
    const [young = account()] = csp.add(account());
    expect(await sync(replica)).toMatchObject({ created: 1 });
    core.clock.advanceSeconds(60);
    vanish(csp, [young]);
    held.resolve();
    expect(await run).toMatchObject({ listed: 2, stale: 0 });
    expect((await recordOf(core, idOf(young))).status).toBe('available');
  });

  it('a sandbox that is leased between being read and being marked stale keeps its lease', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 6);
    const replica = await replicaOfTest(core);
    const [gone, other] = accounts;
    vanish(csp, accounts.slice(0, 2));
    const { run, release } = await syncStoppedBeforeWriting(core);
    const granted = await lease(replica, 'a', { namePrefix: String(gone?.name) });
    const before = await recordOf(core, granted.sandboxId);
    expect(before.id).toBe(idOf(gone));
    release();
    expect(await run).toMatchObject({ stale: 1, skipped: 1 });
    expect(await recordOf(core, granted.sandboxId)).toEqual(before);
    expect((await recordOf(core, idOf(other))).status).toBe('stale');
    expect((await allocate(replica, 'a')).lease).toEqual(granted);
  });

  it('a sandbox that is leased before it is its turn to be marked stale is left alone without a try', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 6);
    const replica = await replicaOfTest(core);
    vanish(csp, accounts.slice(0, 2));
    const held = holdCalls();
    injectFaults(core.client).next('BatchGetItem', held.fault);
    const run = sync(core);
    await until(() => held.waiting === 1, { what: 'the sync knows what is missing' });
    const granted = await lease(replica, 'a', { namePrefix: String(accounts[0]?.name) });
    const before = await recordOf(core, granted.sandboxId);
    core.calls.clear();
    held.release();
    expect(await run).toMatchObject({ stale: 1, skipped: 1 });
    expect(core.calls.count('TransactWriteItems')).toBe(1);
    expect(await recordOf(core, granted.sandboxId)).toEqual(before);
  });

  it('a sandbox that is leased between being read and being renamed keeps its lease; the next sync renames it', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 4);
    const replica = await replicaOfTest(core);
    for (const one of accounts) change(csp, one, { name: `new ${String(one.name)}` });
    const { run, release } = await syncStoppedBeforeWriting(core);
    const granted = await lease(replica, 'a');
    const before = await recordOf(core, granted.sandboxId);
    release();
    expect(await run).toMatchObject({ updated: 3, skipped: 1 });
    expect(await recordOf(core, granted.sandboxId)).toEqual(before);
    expect(await sync(core)).toMatchObject({ updated: 1, skipped: 0 });
    expect(await recordOf(core, granted.sandboxId)).toMatchObject({
      status: 'allocated',
      name: `new ${granted.name}`,
      lease: { holder: 'a', allocatedAt: granted.allocatedAt, expiresAt: granted.expiresAt },
    });
  });

  it('an allocation that meets the rename of its candidate takes it under the new name', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 1);
    const replica = await replicaOfTest(core);
    const held = holdCalls();
    injectFaults(replica.client).next('TransactWriteItems', held.fault);
    const allocation = allocate(replica, 'a');
    await until(() => held.waiting === 1, { what: 'the allocation has its candidate' });
    change(csp, accounts[0], { name: 'renamed' });
    expect(await sync(core)).toMatchObject({ updated: 1 });
    held.release();
    expect(await allocation).toMatchObject({
      lease: { sandboxId: idOf(accounts[0]), name: 'renamed' },
      replayed: false,
      conflicts: 1,
    });
    expect(await recordOf(core, idOf(accounts[0]))).toMatchObject({ status: 'allocated', name: 'renamed' });
  });

  it('two replicas that learn of the same new sandboxes at once make each of them once', async () => {
    const { core, csp } = await startCspCore(endpoint);
    const replica = await replicaOfTest(core);
    csp.add(...someAccounts(5));
    const { run, release } = await syncStoppedBeforeWriting(core);
    expect(await sync(replica)).toMatchObject({ created: 5 });
    const granted = await lease(replica, 'a');
    const before = await records(core);
    release();
    expect(await run).toMatchObject({ created: 0, skipped: 5 });
    expect(await records(core)).toEqual(before);
    expect(before.get(granted.sandboxId)?.status).toBe('allocated');
  });
});
