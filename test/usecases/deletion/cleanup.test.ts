import { expect, it, onTestFinished, vi } from 'vitest';
import { context, HOUR_SECONDS, type TestCore } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  coreOfTest,
  giveBack,
  historyOf,
  lease,
  mark,
  recordOf,
  refused,
  someAccounts,
  startCspCore,
  statusCounts,
  stockCsp,
  sync,
} from '../../support/broker/csp-core.ts';
import { account, uuidOf } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { failWith, injectFaults, refused as storeRefusal } from '../../support/store/injected-faults.ts';
import { deletesAt, NOTHING, startWithUsed } from './cleanup-steps.ts';

const uuid = (externalId: string) => uuidOf({ id: externalId });

/** When a cleaner may take a sandbox, epoch milliseconds; undefined: never. */
async function dueMsOf(core: TestCore, sandboxId: string): Promise<number | undefined> {
  const record = await recordOf(core, sandboxId);
  return 'cleanup' in record ? record.cleanup?.dueMs : undefined;
}

describeOnEngines('cleaning up', ({ endpoint }) => {
  it('destroys at the provider what was given back, once, and nothing else', async () => {
    const { core, csp } = await startCspCore(endpoint);
    await stockCsp(core, csp, someAccounts(5));
    const kept = await lease(core, 'keeps it');
    const used = await giveBack(core, 3);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 3, deleted: 3 });
    expect([...csp.deletes.keys()].sort()).toEqual(used.map((one) => uuid(one.externalId)).sort());
    expect(deletesAt(csp)).toEqual({ effective: 3, missed: 0 });
    expect(await statusCounts(core)).toEqual({ available: 1, allocated: 1, deleted: 3 });
    for (const { sandboxId } of used) {
      expect(await recordOf(core, sandboxId)).toMatchObject({
        status: 'deleted',
        reason: 'destroyed',
        deletedAtMs: core.clock.nowMs(),
      });
    }
    expect((await recordOf(core, kept.sandboxId)).status).toBe('allocated');
    expect(await cleanUp(core)).toEqual(NOTHING);
  });

  it('a deleted one is never leased again, though CSP still lists it for a while', async () => {
    const { core, csp } = await startWithUsed(endpoint, 1);
    csp.settings.listedForMs = Number.POSITIVE_INFINITY;
    await cleanUp(core);
    await sync(core);
    expect(await refused(allocate(core, 'b'))).toBe('NO_SANDBOXES_AVAILABLE');
  });

  it('what the provider recycles is free again, and nothing is left of its lease', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 2 });
    const [one] = await giveBack(core, 1);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, recycled: 1 });
    const record = await recordOf(core, one?.sandboxId);
    expect(record).toMatchObject({ status: 'available' });
    expect(record).not.toHaveProperty('lease');
    expect(record).not.toHaveProperty('cleanup');
    const both = [await lease(core, 'a'), await lease(core, 'b')];
    expect(both.map((each) => each.sandboxId)).toContain(one?.sandboxId);
    expect(await cleanUp(core)).toEqual(NOTHING);
  });

  it('what is gone at the provider already is done', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    csp.accounts.clear();
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect(await recordOf(core, ids[0])).toMatchObject({ status: 'deleted', reason: 'already_gone' });
  });

  it.each([
    ['server_error', { kind: 'respond', status: 500 }, 0],
    ['rejected', { kind: 'respond', status: 422 }, 0.25],
    ['unauthorized', { kind: 'respond', status: 403 }, 0.25],
    ['bad_response', { kind: 'html' }, 0.5],
  ] as const)(
    '%s while others go through: tries again later, each time twice as late, and parks it at last',
    async (kind, fault, jitter) => {
      const random = vi.spyOn(Math, 'random').mockReturnValue(jitter);
      onTestFinished(async () => random.mockRestore());
      const { core, csp, ids, used } = await startWithUsed(endpoint, 1);
      const [id = ''] = ids;
      csp.faults.add('delete', fault, { times: 3, uuid: uuid(used[0]?.externalId ?? '') });
      const another = async () => {
        await stockCsp(core, csp, [account()]);
        await giveBack(core, 1);
      };

      for (const [retries, waitSeconds] of [
        [1, 60],
        [2, 120],
      ] as const) {
        await another();
        expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 2, deleted: 1, failed: 1 });
        expect(await recordOf(core, id)).toMatchObject({
          status: 'deletion_failed',
          cleanup: { retries, attempts: retries, lastError: kind },
        });
        const dueMs = (await dueMsOf(core, id)) ?? 0;
        expect(dueMs - core.clock.nowMs()).toBe(waitSeconds * 1000 * (0.5 + jitter));
        core.clock.set(dueMs - 1);
        expect(await cleanUp(core)).toEqual(NOTHING);
        core.clock.set(dueMs);
      }
      expect(core.alerts).toEqual([]);
      await another();
      expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 2, deleted: 1, failed: 1, parked: 1 });
      expect(core.alerts).toEqual([
        {
          task: 'cleanup',
          reason: 'deletion_parked',
          severity: 'error',
          context: { sandbox_id: id, attempts: 3, last_error: kind },
        },
      ]);
      expect(await dueMsOf(core, id)).toBeUndefined();
      core.clock.advanceSeconds(30 * 24 * HOUR_SECONDS);
      expect(await cleanUp(core)).toEqual(NOTHING);

      const retried = await core.useCases.retryDeletion(id, context('admin'));
      expect(retried).toMatchObject({ status: 'pending_deletion', cleanup: { attempts: 0, retries: 0 } });
      expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
      expect((await recordOf(core, id)).status).toBe('deleted');
    },
  );

  it('one poisoned sandbox never blocks the others, nor do many', async () => {
    const { core, csp, used } = await startWithUsed(endpoint, 8, { cleanupConcurrency: 2 });
    const poisoned = used.slice(0, 3);
    for (const { externalId } of poisoned) {
      csp.faults.add('delete', { kind: 'respond', status: 500 }, { uuid: uuid(externalId), times: Infinity });
    }
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 8, deleted: 5, failed: 3 });
    expect(deletesAt(csp)).toEqual({ effective: 5, missed: 0 });
    core.clock.advanceSeconds(HOUR_SECONDS);
    const [more] = await stockCsp(core, csp, [account()]);
    await mark(core, 'late', (await lease(core, 'late')).sandboxId);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 4, deleted: 1, failed: 3 });
    expect((await recordOf(core, more?.csp_id)).status).toBe('deleted');
  });

  it('a record that the store refuses to write fails the run, after the others had their turn', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 3, { cleanupConcurrency: 1 });
    const refusal = failWith(() => storeRefusal('ValidationException'));
    injectFaults(core.client).next('PutItem', refusal, {
      matching: ({ json }) => json.includes(`S#${ids[0]}`),
    });
    await expect(cleanUp(core)).rejects.toThrow('ValidationException');
    expect(deletesAt(csp)).toEqual({ effective: 2, missed: 0 });
    expect(await statusCounts(core)).toEqual({ pending_deletion: 1, deleted: 2 });
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
  });

  it("429 ends the run: nothing is counted against the sandbox, it waits as long as the provider says, the others don't", async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 3, { cleanupConcurrency: 1 });
    csp.faults.add('delete', { kind: 'respond', status: 429, headers: { 'retry-after': '120' } });
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 3, skipped: 3 });
    expect(csp.calls.filter((call) => call.operation === 'delete')).toHaveLength(1);
    const asked = csp.calls.find((call) => call.operation === 'delete')?.uuid;

    const all = await Promise.all(ids.map((id) => recordOf(core, id)));
    for (const record of all) {
      const isAsked = uuid(record.externalId) === asked;
      expect(record).toMatchObject({ status: 'pending_deletion', cleanup: { attempts: 0, retries: 0 } });
      expect(record).not.toHaveProperty('cleanup.claimId');
      expect(await dueMsOf(core, record.id)).toBe(core.clock.nowMs() + (isAsked ? 120_000 : 0));
    }
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 2, deleted: 2 });
    core.clock.advanceSeconds(119);
    expect(await cleanUp(core)).toEqual(NOTHING);
    core.clock.advanceSeconds(1);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect(core.alerts).toEqual([]);
  });

  it('429 for one that failed before is not another failure of it, in its history neither', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    const [id = ''] = ids;
    csp.faults.add('delete', { kind: 'respond', status: 500 });
    csp.faults.add('delete', { kind: 'respond', status: 429 });
    await cleanUp(core);
    core.clock.advanceSeconds(HOUR_SECONDS);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, skipped: 1 });
    expect(await recordOf(core, id)).toMatchObject({
      status: 'deletion_failed',
      cleanup: { attempts: 1, retries: 0, lastError: 'server_error' },
    });
    expect((await historyOf(core, id)).slice(-2).map((event) => event.action)).toEqual([
      'cleanup_failed',
      'cleanup_postponed',
    ]);
  });

  it('a run that is told to stop sees the delete under way through and leaves the rest untouched', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 3, { cleanupConcurrency: 1 });
    const held = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: held.promise });
    const stopping = new AbortController();
    const run = core.work.cleanup({ ...context(), signal: stopping.signal });
    await csp.arrived('delete', 1);
    stopping.abort(new Error('the broker is shutting down'));
    held.resolve();
    expect(await run).toEqual({ ...NOTHING, due: 3, deleted: 1, skipped: 2 });
    expect(deletesAt(csp)).toEqual({ effective: 1, missed: 0 });
    expect(await statusCounts(core)).toEqual({ deleted: 1, pending_deletion: 2 });
    const untouched = await Promise.all(ids.map((id) => recordOf(core, id)));
    expect(untouched.filter((one) => 'cleanup' in one && one.cleanup?.attempts === 0)).toHaveLength(2);
  });

  it('reports how many there are, and each that is done', async () => {
    const { core } = await startWithUsed(endpoint, 3);
    const reported: unknown[] = [];
    await core.work.cleanup(context(), (progress) => reported.push(progress));
    expect(reported).toEqual([0, 1, 2, 3].map((done) => ({ done, total: 3 })));
  });

  it('a rename by a sync while the delete is on its way costs neither the rename nor the outcome', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    const [id = ''] = ids;
    const held = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: held.promise });
    const run = cleanUp(core);
    await csp.arrived('delete', 1);
    for (const [key, one] of csp.accounts) csp.accounts.set(key, { ...one, name: 'renamed' });
    expect(await sync(core)).toMatchObject({ updated: 1 });
    expect(await recordOf(core, id)).toMatchObject({ status: 'pending_deletion', name: 'renamed' });
    held.resolve();
    expect(await run).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect(await recordOf(core, id)).toMatchObject({
      status: 'deleted',
      reason: 'destroyed',
      name: 'renamed',
    });
  });
});
