import { expect, it } from 'vitest';
import { CLOCK_SKEW_ALLOWANCE_MS } from '../../src/domain/inventory.ts';
import type { ProviderError } from '../../src/provider/provider.ts';
import type { SyncCounts } from '../../src/usecases/sync-inventory.ts';
import { context, type TestCore } from '../support/core.ts';
import {
  allocate,
  cleanUp,
  giveBack,
  historyOf,
  lease,
  recordOf,
  records,
  refused,
  replicaOfTest,
  someAccounts,
  startCspCore,
  statusCounts,
  stockCsp,
  sync,
} from '../support/csp-core.ts';
import { failureOf, json } from '../support/csp-provider.ts';
import { describeOnEngines } from '../support/engines.ts';
import { account, type FakeAccount, type FakeCsp, uuidOf } from '../support/fake-csp.ts';
import type { FakeFault } from '../support/fake-csp-faults.ts';
import { holdCalls, injectFaults } from '../support/injected-faults.ts';
import { until } from '../support/until.ts';

const NOTHING: Omit<SyncCounts, 'listed' | 'unchanged'> = {
  created: 0,
  updated: 0,
  restored: 0,
  revived: 0,
  stale: 0,
  skipped: 0,
  stale_refused: 0,
  duplicates: 0,
  invalid: 0,
};

/** Starts with so many accounts at CSP that the broker knows of. */
async function startWith(endpoint: string, count: number) {
  const { core, csp } = await startCspCore(endpoint);
  const accounts = await stockCsp(core, csp, someAccounts(count));
  return { core, csp, accounts, ids: accounts.map(idOf) };
}

const idOf = (one: FakeAccount | undefined): string => String(one?.csp_id);

function vanish(csp: FakeCsp, accounts: FakeAccount[]): void {
  for (const one of accounts) csp.accounts.delete(uuidOf(one));
}

/** Changes an account at CSP, wherever it is in the listing. */
function change(csp: FakeCsp, one: FakeAccount | undefined, fields: Partial<FakeAccount>): void {
  if (one) csp.accounts.set(uuidOf(one), { ...one, ...fields });
}

/** The calls that change the table. */
const writes = ({ calls }: TestCore): number => calls.count() - calls.count('Query') - calls.count('GetItem');

/** A sync that has read all it needs and is about to write. */
async function syncStoppedBeforeWriting(core: TestCore) {
  const held = holdCalls();
  injectFaults(core.client).next('TransactWriteItems', held.fault);
  const run = sync(core);
  await until(() => held.waiting === 1, { what: 'the sync is about to write' });
  return { run, release: held.release };
}

describeOnEngines('a large inventory', ({ name, endpoint }) => {
  const count = name === 'dynoxide' ? 10_000 : 300;

  it('is taken in whole; unchanged, it costs no write; what changed costs its own writes only', async () => {
    const { core, csp } = await startCspCore(endpoint);
    const accounts = csp.add(...someAccounts(count));
    expect(await sync(core)).toEqual({ ...NOTHING, listed: count, unchanged: 0, created: count });
    core.clock.advanceSeconds(600);
    core.calls.clear();
    expect(await sync(core)).toEqual({ ...NOTHING, listed: count, unchanged: count });
    expect(writes(core)).toBe(0);

    const [renamed = [], gone = []] = [accounts.slice(0, 40), accounts.slice(40, 80)];
    for (const one of renamed) change(csp, one, { name: `new ${String(one.name)}` });
    vanish(csp, gone);
    csp.add(...someAccounts(30));
    core.calls.clear();
    const changes = { created: 30, updated: 40, stale: 40 };
    expect(await sync(core)).toEqual({ ...NOTHING, listed: count - 10, unchanged: count - 80, ...changes });
    expect(writes(core)).toBe(1 + 2 + 2);
    const { counts } = await core.work.count(AbortSignal.timeout(30_000));
    expect(counts).toMatchObject({ available: count - 10, stale: 40 });
  }, 180_000);
});

describeOnEngines('a sync', ({ endpoint }) => {
  it('keeps what CSP says of an account, and makes it free to lease', async () => {
    const { core, csp } = await startCspCore(endpoint);
    const [one] = csp.add(account({ name: 'Läb für 東京 🧪 #1', sfdc_account_id: 'SF-1' }));
    await sync(core);
    expect(await recordOf(core, idOf(one))).toMatchObject({
      status: 'available',
      name: 'Läb für 東京 🧪 #1',
      externalId: one?.id,
      metadata: { account_type: 'sandbox', state: 'active', sfdc_account_id: 'SF-1' },
    });
    expect(await sync(core)).toEqual({ ...NOTHING, listed: 1, unchanged: 1 });
    expect((await lease(core, 'a', { namePrefix: 'Läb für 東京 🧪' })).sandboxId).toBe(idOf(one));
  });

  it('takes over a new name and new attributes, in every status, and makes no history of it', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 3);
    const held = await lease(core, 'a');
    const [used] = await giveBack(core, 1);
    const before = await historyOf(core, held.sandboxId);
    for (const [index, one] of accounts.entries()) {
      change(csp, one, { name: `new ${index}`, sfdc_account_id: 'SF-2' });
    }
    expect(await sync(core)).toEqual({ ...NOTHING, listed: 3, unchanged: 0, updated: 3 });
    const all = await records(core);
    expect([...all.values()].map((one) => one.name).sort()).toEqual(['new 0', 'new 1', 'new 2']);
    expect(new Set([...all.values()].map((one) => one.metadata.sfdc_account_id))).toEqual(new Set(['SF-2']));
    expect(all.get(held.sandboxId)).toMatchObject({ status: 'allocated', lease: { holder: 'a' } });
    expect(all.get(used?.sandboxId ?? '')).toMatchObject({ status: 'pending_deletion' });
    expect(await historyOf(core, held.sandboxId)).toEqual(before);
    // A replay answers with what the lease was granted with.
    expect((await allocate(core, 'a')).lease).toEqual(held);
    expect(await cleanUp(core)).toMatchObject({ deleted: 1 });
  });

  it('marks stale what is gone, leases it to nobody, and frees it when it is back', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 3);
    const [gone] = accounts;
    vanish(csp, accounts.slice(0, 1));
    expect(await sync(core)).toEqual({ ...NOTHING, listed: 2, unchanged: 2, stale: 1 });
    expect(await recordOf(core, idOf(gone))).toMatchObject({
      status: 'stale',
      staleSinceMs: core.clock.nowMs(),
    });
    for (const holder of ['a', 'b']) expect((await lease(core, holder)).sandboxId).not.toBe(idOf(gone));
    expect(await refused(allocate(core, 'c'))).toBe('NO_SANDBOXES_AVAILABLE');

    core.clock.advanceSeconds(600);
    core.calls.clear();
    expect(await sync(core)).toEqual({ ...NOTHING, listed: 2, unchanged: 2 });
    expect(writes(core)).toBe(0);
    csp.add({ ...account(), ...gone, name: 'back again' });
    expect(await sync(core)).toEqual({ ...NOTHING, listed: 3, unchanged: 2, restored: 1 });
    expect(await lease(core, 'c')).toMatchObject({ sandboxId: idOf(gone), name: 'back again' });
    expect((await historyOf(core, idOf(gone))).map((event) => event.action)).toEqual([
      'sync_created',
      'sync_missing',
      'sync_restored',
      'allocate',
    ]);
  });

  it('leaves a leased sandbox that is gone to its holder, and its deletion ends well', async () => {
    const { core, csp } = await startWith(endpoint, 1);
    const held = await lease(core, 'a');
    const before = await recordOf(core, held.sandboxId);
    csp.accounts.clear();
    expect(await sync(core, true)).toEqual({ ...NOTHING, listed: 0, unchanged: 0 });
    expect(await recordOf(core, held.sandboxId)).toEqual(before);
    await core.useCases.markForDeletion({ holder: 'a', sandboxId: held.sandboxId }, context());
    await sync(core, true);
    expect(await cleanUp(core)).toMatchObject({ deleted: 1 });
    expect(await recordOf(core, held.sandboxId)).toMatchObject({ reason: 'already_gone' });
  });

  it('does not hold the absence of a sandbox against it that it has just learnt of', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 4);
    const [young] = csp.add(account());
    await sync(core);
    vanish(csp, [...accounts.slice(0, 1), ...(young ? [young] : [])]);
    core.clock.set(core.clock.nowMs() + CLOCK_SKEW_ALLOWANCE_MS);
    expect(await sync(core)).toMatchObject({ stale: 1, unchanged: 3 });
    expect((await recordOf(core, idOf(young))).status).toBe('available');
    core.clock.advanceSeconds(1);
    expect(await sync(core)).toMatchObject({ stale: 1 });
    expect((await recordOf(core, idOf(young))).status).toBe('stale');
  });

  it('counts what it cannot use, and goes on: no csp_id, ids that are listed twice, other kinds of account', async () => {
    const { core, csp } = await startCspCore(endpoint);
    const [one] = csp.add(
      account({ name: 'first' }),
      account({ csp_id: undefined }),
      account({ csp_id: '' }),
      account({ account_type: 'standard' }),
    );
    csp.add(account({ csp_id: one?.csp_id, name: 'second' }), account());
    const counts = { ...NOTHING, listed: 2, duplicates: 1, invalid: 2 };
    expect(await sync(core)).toEqual({ ...counts, unchanged: 0, created: 2 });
    expect((await recordOf(core, idOf(one))).name).toBe('first');
    expect(await sync(core)).toEqual({ ...counts, unchanged: 2 });
  });

  it('takes a sandbox whose csp_id is gone, or that is no longer active, for one that is gone', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 5);
    change(csp, accounts[0], { csp_id: null });
    change(csp, accounts[1], { state: 'disabled' });
    expect(await sync(core)).toEqual({ ...NOTHING, listed: 3, unchanged: 3, stale: 2, invalid: 1 });
  });

  it('reports progress', async () => {
    const { core, csp } = await startCspCore(endpoint);
    csp.add(account());
    let beats = 0;
    await core.work.sync({ force: false }, context(), () => beats++);
    expect(beats).toBeGreaterThan(core.reads.buckets);
  });

  it('that is told to stop while CSP answers changes nothing', async () => {
    const { core, csp } = await startCspCore(endpoint);
    csp.add(account());
    csp.faults.add('list', { kind: 'hang' });
    const stopping = new AbortController();
    const run = failureOf(core.work.sync({ force: false }, { ...context(), signal: stopping.signal }));
    await csp.arrived('list', 1);
    stopping.abort(new Error('the broker is shutting down'));
    expect((await run).kind).toBe('aborted');
    expect(core.calls.count()).toBe(0);
  });
});

describeOnEngines('a listing that is not believed', ({ endpoint }) => {
  it('an empty one: nothing is marked stale, and somebody is told; forced, it is believed', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 3);
    csp.accounts.clear();
    core.calls.clear();
    expect(await sync(core)).toEqual({ ...NOTHING, listed: 0, unchanged: 0, stale_refused: 3 });
    expect(writes(core)).toBe(0);
    expect(core.alerts).toEqual([
      {
        task: 'sync',
        reason: 'shrink_guard',
        severity: 'critical',
        context: { missing: 3, expected: 3, listed: 0, max_stale_ratio: 0.5 },
      },
    ]);
    expect(await statusCounts(core)).toEqual({ available: 3 });

    expect(await sync(core, true)).toEqual({ ...NOTHING, listed: 0, unchanged: 0, stale: 3 });
    expect(core.alerts).toHaveLength(1);
    csp.add(...accounts);
    expect(await sync(core)).toMatchObject({ restored: 3 });
  });

  it('half of the pool may go at once, one more may not; what is new, renamed or back is taken in all the same', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 10);
    vanish(csp, accounts.slice(0, 6));
    change(csp, accounts[9], { name: 'renamed' });
    const [fresh] = csp.add(account());
    expect(await sync(core)).toMatchObject({ stale: 0, stale_refused: 6, updated: 1, created: 1 });
    expect(core.alerts).toHaveLength(1);
    // The new one counts from now on: eleven are expected, and of eleven five may go, and six may not.
    core.clock.advanceSeconds(60);
    vanish(csp, fresh ? [fresh] : []);
    csp.add(...accounts.slice(0, 2));
    expect(await sync(core)).toMatchObject({ stale: 5, stale_refused: 0 });
    expect(core.alerts).toHaveLength(1);
    // The stale ones are expected no more: of the six that are left three may go, and four may not.
    vanish(csp, accounts.slice(6, 10));
    expect(await sync(core)).toMatchObject({ stale: 0, stale_refused: 4 });
    csp.add(...accounts.slice(6, 7));
    expect(await sync(core)).toMatchObject({ stale: 3, stale_refused: 0 });
  });

  it('leased ones that it lacks speak against it, too', async () => {
    const { core, csp, accounts } = await startWith(endpoint, 6);
    const held = [await lease(core, 'a'), await lease(core, 'b'), await lease(core, 'c')];
    const isHeld = (one: FakeAccount) => held.some(({ sandboxId }) => sandboxId === one.csp_id);
    vanish(csp, accounts.filter(isHeld));
    expect(await sync(core)).toMatchObject({ stale: 0, stale_refused: 0 });
    vanish(csp, accounts.filter((one) => !isHeld(one)).slice(0, 1));
    expect(await sync(core)).toMatchObject({ stale: 0, stale_refused: 1 });
  });

  it.each<[string, FakeFault, Partial<ProviderError>]>([
    ['a login page with status 200', { kind: 'html' }, { kind: 'bad_response' }],
    ['JSON of another shape', { kind: 'missing_results' }, { kind: 'bad_response' }],
    ['a connection that dies in the middle of the body', { kind: 'cut' }, { kind: 'network' }],
    ['a connection that dies before the answer', { kind: 'lost' }, { kind: 'network' }],
    ['500', { kind: 'respond', status: 500 }, { kind: 'server_error' }],
    [
      '429',
      { kind: 'respond', status: 429, headers: { 'retry-after': '30' } },
      { kind: 'rate_limited', retryAfterMs: 30_000 },
    ],
    ['a first page without its second', json({ results: [], next: '?page=2' }), { kind: 'server_error' }],
  ])('%s is none: nothing is changed, and the next sync is right', async (_, fault, expected) => {
    const { core, csp, accounts } = await startWith(endpoint, 3);
    await lease(core, 'a');
    const before = await records(core);
    csp.add(account());
    change(csp, accounts[0], { name: 'renamed' });
    csp.faults.add('list', fault);
    // Whoever asks for a second page meets this.
    csp.faults.add('list', { kind: 'respond', status: 500 });
    core.calls.clear();
    expect(await failureOf(sync(core, true))).toMatchObject(expected);
    expect(writes(core)).toBe(0);
    expect(await records(core)).toEqual(before);
    csp.faults.clear();
    expect(await sync(core)).toMatchObject({ created: 1, updated: 1, unchanged: 2 });
  });
});

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

describeOnEngines('a tombstone', ({ endpoint }) => {
  it('keeps out a listing that began before the deletion ended, however long it took', async () => {
    const { core, csp, accounts, ids } = await startWith(endpoint, 1);
    await giveBack(core, 1);
    const held = Promise.withResolvers<void>();
    csp.faults.add('list', { kind: 'hold', until: held.promise });
    const run = sync(core);
    await csp.arrived('list', 2);
    core.clock.advanceSeconds(60);
    expect(await cleanUp(core)).toMatchObject({ deleted: 1 });
    core.clock.advanceSeconds(60);
    // The answer was put together before the deletion: it still has the account.
    csp.add(...accounts);
    held.resolve();
    expect(await run).toMatchObject({ listed: 1, created: 0, revived: 0, skipped: 0 });
    expect((await recordOf(core, ids[0])).status).toBe('deleted');
    expect(await refused(allocate(core, 'b'))).toBe('NO_SANDBOXES_AVAILABLE');
  });

  it('makes room for a fresh sandbox when a later listing has it, not a moment after the deletion', async () => {
    const { core, csp, accounts, ids } = await startWith(endpoint, 1);
    const [id = ''] = ids;
    await giveBack(core, 1);
    await cleanUp(core);
    csp.add(...accounts);
    core.clock.set(core.clock.nowMs() + CLOCK_SKEW_ALLOWANCE_MS);
    expect(await sync(core)).toMatchObject({ created: 0, revived: 0 });
    core.clock.advanceSeconds(1);
    expect(await sync(core)).toMatchObject({ created: 0, revived: 1 });
    const record = await recordOf(core, id);
    expect(record).toMatchObject({ status: 'available' });
    expect(record).not.toHaveProperty('lease');
    expect((await lease(core, 'b')).sandboxId).toBe(id);
    expect((await historyOf(core, id)).map((event) => event.action).slice(-3)).toEqual([
      'cleanup_deleted',
      'sync_revived',
      'allocate',
    ]);
  });

  it('a failed deletion whose record was purged comes back as one, never free: it was used', async () => {
    const { core, csp, ids } = await startWith(endpoint, 1);
    const [id = ''] = ids;
    await giveBack(core, 1);
    csp.faults.add('delete', { kind: 'respond', status: 500 });
    await cleanUp(core);
    expect(await core.useCases.bulkDelete({ status: 'deletion_failed' }, context('admin'))).toMatchObject({
      deleted: 1,
    });
    core.clock.advanceSeconds(60);
    expect(await sync(core)).toMatchObject({ revived: 1 });
    expect(await recordOf(core, id)).toMatchObject({
      status: 'deletion_failed',
      lease: { holder: 'holder-1' },
      cleanup: { lastError: 'server_error' },
    });
    expect(await refused(allocate(core, 'b'))).toBe('NO_SANDBOXES_AVAILABLE');
    // It waits for an operator, who has it deleted at last.
    core.clock.advanceSeconds(86_400);
    expect(await cleanUp(core)).toMatchObject({ due: 0 });
    await core.useCases.retryDeletion(id, context('admin'));
    expect(await cleanUp(core)).toMatchObject({ deleted: 1 });
  });

  it('a stale record that was purged comes back free: it was clean', async () => {
    const { core, csp, accounts, ids } = await startWith(endpoint, 1);
    csp.accounts.clear();
    await sync(core, true);
    await core.useCases.bulkDelete({ status: 'stale' }, context('admin'));
    expect((await recordOf(core, ids[0])).status).toBe('deleted');
    core.clock.advanceSeconds(60);
    csp.add(...accounts);
    expect(await sync(core)).toMatchObject({ revived: 1 });
    expect((await lease(core, 'a')).sandboxId).toBe(ids[0]);
  });
});
