import { expect, it } from 'vitest';
import { claim } from '../../../src/domain/cleanup.ts';
import { context, HOUR_SECONDS, type TestCore } from '../../support/broker/core.ts';
import {
  cleanUp,
  giveBack,
  historyOf,
  lease,
  mark,
  recordOf,
  records,
  replicaOfTest,
  someAccounts,
  startCspCore,
  statusCounts,
  stockCsp,
  sync,
} from '../../support/broker/csp-core.ts';
import { type FakeAccount, type FakeCsp, uuidOf } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { holdCalls, injectFaults } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';

const purge = (core: TestCore, gracePeriodHours = 24) =>
  core.work.purge({ gracePeriodHours }, context('stale_purge'));
const bulkDelete = (core: TestCore, status: 'stale' | 'deletion_failed') =>
  core.useCases.bulkDelete({ status }, context('admin'));

/** Starts with so many sandboxes that CSP has, and then has no more of these numbers. */
async function startWith(endpoint: string, count: number, ...gone: number[]) {
  const { core, csp } = await startCspCore(endpoint, { deletionMaxAttempts: 1 });
  const accounts = await stockCsp(core, csp, someAccounts(count));
  const ids = accounts.map((one) => String(one.csp_id));
  if (gone.length > 0)
    await lose(
      core,
      csp,
      accounts.filter((_, index) => gone.includes(index)),
    );
  return { core, csp, accounts, ids };
}

/** CSP lists these no longer, and the broker has learnt of it. */
async function lose(core: TestCore, csp: FakeCsp, accounts: FakeAccount[]): Promise<void> {
  for (const one of accounts) csp.accounts.delete(uuidOf(one));
  await sync(core, true);
}

/** Lets all deletes fail, once each, of so many sandboxes that are given back. */
async function failDeletions(core: TestCore, csp: FakeCsp, count: number) {
  const used = await giveBack(core, count);
  csp.faults.add('delete', { kind: 'respond', status: 500 }, { times: count });
  expect(await cleanUp(core)).toMatchObject({ failed: count });
  return used;
}

describeOnEngines('the purge of stale records', ({ endpoint }) => {
  it('takes what has been stale for the grace period, to the second, and nothing else', async () => {
    const { core, csp, accounts, ids } = await startWith(endpoint, 4, 0);
    core.clock.advanceSeconds(HOUR_SECONDS);
    await lose(core, csp, accounts.slice(1, 2));
    core.clock.advanceSeconds(23 * HOUR_SECONDS - 1);
    expect(await purge(core)).toEqual({ deleted: 0, skipped: 0 });
    core.clock.advanceSeconds(1);
    expect(await purge(core)).toEqual({ deleted: 1, skipped: 0 });
    expect(await recordOf(core, ids[0])).toMatchObject({
      status: 'deleted',
      reason: 'purged',
      deletedAtMs: core.clock.nowMs(),
    });
    expect(await statusCounts(core)).toEqual({ available: 2, stale: 1, deleted: 1 });
    expect(await purge(core)).toEqual({ deleted: 0, skipped: 0 });
    expect((await historyOf(core, ids[0] ?? '')).at(-1)).toMatchObject({
      actor: 'stale_purge',
      action: 'purge_stale',
      from: 'stale',
      to: 'deleted',
    });
  });

  it('counts from the last time a sandbox went missing', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 3, 0);
    core.clock.advanceSeconds(20 * HOUR_SECONDS);
    csp.add(...accounts.slice(0, 1));
    expect(await sync(core)).toMatchObject({ restored: 1 });
    core.clock.advanceSeconds(HOUR_SECONDS);
    await lose(core, csp, accounts.slice(0, 1));
    core.clock.advanceSeconds(20 * HOUR_SECONDS);
    expect(await purge(core)).toEqual({ deleted: 0, skipped: 0 });
    core.clock.advanceSeconds(4 * HOUR_SECONDS);
    expect(await purge(core)).toEqual({ deleted: 1, skipped: 0 });
  });

  it.each([
    [0, 0],
    [0.5, 1_800],
    [48, 48 * HOUR_SECONDS],
  ])('a grace period of %d hours is %d seconds', async (hours, seconds) => {
    const { core } = await startWith(endpoint, 1, 0);
    if (seconds > 0) {
      core.clock.advanceSeconds(seconds - 1);
      expect(await purge(core, hours)).toEqual({ deleted: 0, skipped: 0 });
      core.clock.advanceSeconds(1);
    }
    expect(await purge(core, hours)).toEqual({ deleted: 1, skipped: 0 });
  });

  it('removes records only: the provider is not asked to delete anything', async () => {
    const { core, csp } = await startWith(endpoint, 2, 0, 1);
    await purge(core, 0);
    expect(csp.calls.filter((call) => call.operation === 'delete')).toEqual([]);
  });

  it('leaves a sandbox alone that comes back while it looks at it, leased or not', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 2, 0, 1);
    core.clock.advanceSeconds(24 * HOUR_SECONDS);
    const replica = await replicaOfTest(core);
    const held = holdCalls();
    injectFaults(core.client).next('TransactWriteItems', held.fault);
    const run = purge(core);
    await until(() => held.waiting === 1, { what: 'the purge is about to write' });
    csp.add(...accounts);
    expect(await sync(replica)).toMatchObject({ restored: 2 });
    await lease(replica, 'a');
    const before = await records(core);
    held.release();
    // The other one was read before or after it came back, as the buckets lie.
    const counts = await run;
    expect(counts.deleted).toBe(0);
    expect(counts.skipped).toBeGreaterThanOrEqual(1);
    expect(await records(core)).toEqual(before);
  });

  it('that is told to stop leaves the rest for the next run', async () => {
    const { core } = await startWith(endpoint, 3, 0, 1, 2);
    const stopping = new AbortController();
    const run = core.work.purge({ gracePeriodHours: 0 }, { ...context(), signal: stopping.signal }, () =>
      stopping.abort(new Error('the broker is shutting down')),
    );
    expect(await run).toEqual({ deleted: 1, skipped: 0 });
    expect(await statusCounts(core)).toEqual({ stale: 2, deleted: 1 });
    expect(await purge(core, 0)).toEqual({ deleted: 2, skipped: 0 });
  });
});

describeOnEngines('a bulk delete', ({ endpoint }) => {
  it('takes every record in the status and none in another, never a leased one', async () => {
    const { core, csp } = await startWith(endpoint, 8, 0, 1);
    const [failed] = await failDeletions(core, csp, 1);
    const held = await lease(core, 'keeps it');
    const due = await lease(core, 'gives it back');
    await mark(core, 'gives it back', due.sandboxId);
    const all = { available: 3, allocated: 1, pending_deletion: 1, deletion_failed: 1, stale: 2 };
    expect(await statusCounts(core)).toEqual(all);

    expect(await bulkDelete(core, 'stale')).toEqual({ deleted: 2, skipped: 0 });
    expect(await statusCounts(core)).toEqual({ ...all, stale: undefined, deleted: 2 });
    expect(await bulkDelete(core, 'deletion_failed')).toEqual({ deleted: 1, skipped: 0 });
    expect(await statusCounts(core)).toEqual({
      available: 3,
      allocated: 1,
      pending_deletion: 1,
      deleted: 3,
    });
    expect((await recordOf(core, held.sandboxId)).status).toBe('allocated');
    expect(csp.calls.filter((call) => call.operation === 'delete')).toHaveLength(1);
    expect(await recordOf(core, failed?.sandboxId)).toMatchObject({ reason: 'purged' });
    expect((await historyOf(core, failed?.sandboxId ?? '')).at(-1)).toMatchObject({
      actor: 'admin',
      action: 'bulk_delete',
      holder: 'holder-1',
    });
    // Whose it was is still told that it is done.
    expect(await mark(core, 'holder-1', failed?.sandboxId ?? '')).toMatchObject({
      status: 'deleted',
      repeated: true,
    });
  });

  it("leaves a failed deletion alone that a cleaner has its hand on, and the cleaner's outcome counts", async () => {
    const { core, csp, ids } = await startWith(endpoint, 1);
    const retrying = await replicaOfTest(core, { deletionMaxAttempts: 3 });
    await giveBack(core, 1);
    csp.faults.add('delete', { kind: 'respond', status: 500 });
    expect(await cleanUp(retrying)).toMatchObject({ failed: 1, parked: 0 });
    core.clock.advanceSeconds(HOUR_SECONDS);

    const held = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: held.promise });
    const run = cleanUp(retrying);
    await csp.arrived('delete', 2);
    expect(await bulkDelete(core, 'deletion_failed')).toEqual({ deleted: 0, skipped: 1 });
    expect(await recordOf(core, ids[0])).toMatchObject({ status: 'deletion_failed' });
    held.resolve();
    expect(await run).toMatchObject({ deleted: 1 });
    expect(await recordOf(core, ids[0])).toMatchObject({ status: 'deleted', reason: 'destroyed' });
  });

  it('that meets a cleaner setting out loses to its claim', async () => {
    const { core, csp } = await startWith(endpoint, 1);
    const retrying = await replicaOfTest(core, { deletionMaxAttempts: 3 });
    await giveBack(core, 1);
    csp.faults.add('delete', { kind: 'respond', status: 500 });
    await cleanUp(retrying);
    core.clock.advanceSeconds(HOUR_SECONDS);

    const purging = holdCalls();
    injectFaults(core.client).next('TransactWriteItems', purging.fault);
    const run = bulkDelete(core, 'deletion_failed');
    await until(() => purging.waiting === 1, { what: 'the delete is about to write' });
    const held = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: held.promise });
    const cleaning = cleanUp(retrying);
    await csp.arrived('delete', 2);
    purging.release();
    expect(await run).toEqual({ deleted: 0, skipped: 1 });
    held.resolve();
    expect(await cleaning).toMatchObject({ deleted: 1 });
  });

  it('leaves what a dead cleaner had its hand on to the next cleaner', async () => {
    const { core, csp, ids } = await startWith(endpoint, 1);
    await failDeletions(core, csp, 1);
    const seen = await recordOf(core, ids[0]);
    if (seen.status !== 'deletion_failed') throw new Error(`it is ${seen.status}`);
    const nowMs = core.clock.nowMs();
    expect(await core.store.write({ seen, next: claim(seen, 'claim-1', nowMs + 60_000, nowMs) })).toBe(true);

    expect(await bulkDelete(core, 'deletion_failed')).toEqual({ deleted: 0, skipped: 1 });
    core.clock.advanceSeconds(60);
    expect(await bulkDelete(core, 'deletion_failed')).toEqual({ deleted: 0, skipped: 1 });
    expect(await cleanUp(core)).toMatchObject({ deleted: 1 });
    expect(await recordOf(core, ids[0])).toMatchObject({ status: 'deleted', reason: 'destroyed' });
  });
});
