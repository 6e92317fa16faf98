import { expect, it } from 'vitest';
import { STILL_LISTED_LIMIT_MS } from '../../../src/domain/inventory.ts';
import { context } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  giveBack,
  lease,
  recordOf,
  refused,
  replicaOfTest,
  sync,
} from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { startWith } from '../inventory/sync-steps.ts';
import { deletesAt, NOTHING } from './cleanup-steps.ts';

const LISTED_FOR_S = 60;
const STEP_S = 5;

/** One sandbox, given back, at a CSP that answers a delete so and lists what it deleted for a while. */
async function startLeaving(endpoint: string, deleteStatus: 200 | 202 | 204, listedForMs: number) {
  const { core, csp, accounts, ids } = await startWith(endpoint, 1);
  Object.assign(csp.settings, { deleteStatus, listedForMs, nowMs: core.clock.nowMs });
  await giveBack(core, 1);
  return { core, csp, accounts, id: ids[0] ?? '' };
}

describeOnEngines('a deleted sandbox that is listed for a while', ({ endpoint }) => {
  it.each([200, 202, 204] as const)(
    'is leased to nobody while it is, over syncs, cleanups and replicas; what is listed anew later is (%i)',
    async (status) => {
      const { core, csp, accounts, id } = await startLeaving(endpoint, status, LISTED_FOR_S * 1000);
      await cleanUp(core);
      expect((await recordOf(core, id)).status).toBe(status === 202 ? 'pending_deletion' : 'deleted');
      for (let passed = 0; passed < LISTED_FOR_S + 60; passed += STEP_S) {
        // A replica that has just been started remembers nothing but what the table says.
        const replica = await replicaOfTest(core);
        if (passed % 15 === 0) await sync(replica, passed % 30 === 0);
        if (passed % 20 === 0) await cleanUp(replica);
        expect(await refused(allocate(replica, 'b'))).toBe('NO_SANDBOXES_AVAILABLE');
        core.clock.advanceSeconds(STEP_S);
      }
      expect(await recordOf(core, id)).toMatchObject({
        status: 'deleted',
        reason: 'destroyed',
        seenGoneMs: expect.any(Number),
      });
      expect(deletesAt(csp)).toEqual({ effective: 1, missed: 0 });
      csp.add(...accounts);
      core.clock.advanceSeconds(30);
      expect(await sync(core)).toMatchObject({ revived: 1 });
      expect((await lease(core, 'b')).sandboxId).toBe(id);
    },
  );

  it.each([200, 202] as const)(
    'and does not go is deleted again after an hour, never free, and somebody is told (%i)',
    async (status) => {
      const { core, csp, id } = await startLeaving(endpoint, status, Number.POSITIVE_INFINITY);
      await cleanUp(core);
      core.clock.set(core.clock.nowMs() + STILL_LISTED_LIMIT_MS);
      await sync(core);
      await cleanUp(core);
      expect(deletesAt(csp)).toEqual({ effective: 1, missed: 0 });
      expect(core.alerts).toEqual([]);
      core.clock.advanceSeconds(1);
      expect(await sync(core)).toMatchObject({ delete_again: 1, revived: 0 });
      expect(core.alerts).toMatchObject([
        { reason: 'still_listed', severity: 'error', context: { count: 1, sandbox_ids: [id] } },
      ]);
      expect(await recordOf(core, id)).toMatchObject({
        status: 'pending_deletion',
        cleanup: { attempts: 1 },
      });
      expect(await refused(allocate(core, 'b'))).toBe('NO_SANDBOXES_AVAILABLE');
      csp.settings.listedForMs = 0;
      csp.settings.deleteStatus = 200;
      await cleanUp(core);
      expect(deletesAt(csp)).toEqual({ effective: 2, missed: 0 });
      expect(await recordOf(core, id)).toMatchObject({ status: 'deleted', cleanup: { attempts: 2 } });
    },
  );

  it('is looked for by one listing for all of them, twice where it lacks one, and less and less often', async () => {
    const { core, csp } = await startWith(endpoint, 3);
    Object.assign(csp.settings, { deleteStatus: 202, listedForMs: 100_000, nowMs: core.clock.nowMs });
    await giveBack(core, 3);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 3, accepted: 3 });
    const listings = () => csp.calls.filter(({ operation }) => operation === 'list').length;
    const before = listings();
    expect(await cleanUp(core)).toEqual(NOTHING);
    for (const afterSeconds of [30, 30]) {
      core.clock.advanceSeconds(afterSeconds);
      expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 3, accepted: 3 });
    }
    core.clock.advanceSeconds(59);
    expect(await cleanUp(core)).toEqual(NOTHING);
    core.clock.advanceSeconds(1);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 3, deleted: 3 });
    expect(listings() - before).toBe(4);
  });

  it('and cannot be looked for stays due, and holds up no delete', async () => {
    const { core, csp } = await startWith(endpoint, 2);
    csp.settings.deleteStatus = 202;
    await giveBack(core, 1);
    await cleanUp(core);
    const second = await lease(core, 'second');
    await core.useCases.markForDeletion({ holder: 'second', sandboxId: second.sandboxId }, context());
    core.clock.advanceSeconds(30);
    csp.faults.add('list', { kind: 'respond', status: 500 });
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 2, accepted: 1, skipped: 1 });
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
  });
});

describeOnEngines('a listing whose pages shift', ({ endpoint }) => {
  it('lacks a sandbox that is there: asked again, it is neither stale nor gone', async () => {
    const { core, csp } = await startWith(endpoint, 6);
    Object.assign(csp.settings, { pageSize: 2, listedForMs: Number.POSITIVE_INFINITY });
    await giveBack(core, 3);
    await cleanUp(core);
    core.clock.advanceSeconds(60);
    const uuids = [...csp.accounts.keys()];
    let shifts = 0;
    csp.settings.afterPage = (page) => {
      // Something before the second page is removed: what was the first there is the last of the first page now.
      if (page === 1 && shifts++ === 0) csp.accounts.delete(uuids[0] ?? '');
    };
    const counts = await sync(core);
    expect(shifts).toBe(2);
    expect(counts).toMatchObject({ listed: 5, stale: 0, gone: 0 });
  });
});
