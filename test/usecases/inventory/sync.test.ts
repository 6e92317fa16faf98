import { expect, it } from 'vitest';
import { CLOCK_SKEW_ALLOWANCE_MS } from '../../../src/domain/inventory.ts';
import { context } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  giveBack,
  historyOf,
  lease,
  recordOf,
  records,
  refused,
  someAccounts,
  startCspCore,
  sync,
} from '../../support/broker/csp-core.ts';
import { failureOf } from '../../support/provider/csp-provider.ts';
import { account } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { injectFaults } from '../../support/store/injected-faults.ts';
import { change, idOf, NOTHING, startWith, vanish, writes } from './sync-steps.ts';

describeOnEngines('a large inventory', ({ name, endpoint }) => {
  const count = name === 'dynoxide' ? 3_000 : 300;

  it('is taken in whole; unchanged, it costs no write; what changed costs its own writes only', async () => {
    const { core, csp } = await startCspCore(endpoint);
    const accounts = csp.add(...someAccounts(count));
    expect(await sync(core)).toEqual({ ...NOTHING, listed: count, unchanged: 0, created: count });
    core.clock.advanceSeconds(600);
    core.calls.clear();
    const { calls } = injectFaults(core.client);
    expect(await sync(core)).toEqual({ ...NOTHING, listed: count, unchanged: count });
    expect(writes(core)).toBe(0);
    // Nobody else waits for longer than it takes to look at a page.
    const limits = calls.map(({ json }) => Number(JSON.parse(json).Limit));
    expect(Math.max(...limits)).toBeLessThanOrEqual(250);

    const [renamed = [], gone = []] = [accounts.slice(0, 40), accounts.slice(40, 80)];
    for (const one of renamed) change(csp, one, { name: `new ${String(one.name)}` });
    vanish(csp, gone);
    csp.add(...someAccounts(30));
    core.calls.clear();
    const changes = { created: 30, updated: 40, stale: 40 };
    expect(await sync(core)).toEqual({ ...NOTHING, listed: count - 10, unchanged: count - 80, ...changes });
    // A new one and a stale one are two items each, with their events; a transaction takes 99, and one for all.
    expect(writes(core)).toBe(Math.ceil((2 * 30 + 40 + 2 * 40) / 99));
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
