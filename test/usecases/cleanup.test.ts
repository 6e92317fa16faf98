import { expect, it, vi } from 'vitest';
import { sandboxKey } from '../../src/store/keys.ts';
import { context, type TestCore } from '../support/core.ts';
import {
  allocate,
  cleanUp,
  coreOfTest,
  expire,
  giveBack,
  historyOf,
  lease,
  mark,
  recordOf,
  refused,
  replicaOfTest,
  someAccounts,
  startCspCore,
  statusCounts,
  stockCsp,
  sync,
} from '../support/csp-core.ts';
import { closeAfterTest } from '../support/csp-provider.ts';
import { describeOnEngines } from '../support/engines.ts';
import { account, type FakeCsp, uuidOf } from '../support/fake-csp.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { failWith, holdCalls, injectFaults, refused as storeRefusal } from '../support/injected-faults.ts';
import { until } from '../support/until.ts';

const NOTHING = { due: 0, deleted: 0, recycled: 0, failed: 0, parked: 0, skipped: 0 };
/** `startCore`'s limit for one delete, and what a claim has on top. */
const CLAIM_SECONDS = 20 + 30;
const HOUR_SECONDS = 3_600;

/** A CSP of so many accounts, all of them leased and given back. */
async function startWithUsed(
  endpoint: string,
  count: number,
  options: Parameters<typeof startCspCore>[1] = {},
) {
  const { core, csp, provider } = await startCspCore(endpoint, options);
  await stockCsp(core, csp, someAccounts(count));
  const used = await giveBack(core, count);
  return { core, csp, provider, used, ids: used.map((one) => one.sandboxId) };
}

const uuid = (externalId: string) => uuidOf({ id: externalId });

/** What deletes did at CSP, over all accounts. */
function deletesAt(csp: FakeCsp) {
  const each = [...csp.deletes.values()];
  return {
    effective: each.reduce((sum, one) => sum + one.effective, 0),
    missed: each.reduce((sum, one) => sum + one.missed, 0),
  };
}

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
    csp.settings.deleteMode = 'recycle';
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
    ['rejected', { kind: 'respond', status: 403 }, 0.25],
    ['bad_response', { kind: 'html' }, 0.5],
    ['network', { kind: 'lost' }, 0.75],
  ] as const)(
    '%s: tries again later, each time twice as late, and parks it at last',
    async (kind, fault, jitter) => {
      const random = vi.spyOn(Math, 'random').mockReturnValue(jitter);
      closeAfterTest(async () => random.mockRestore());
      const { core, csp, ids } = await startWithUsed(endpoint, 1);
      const [id = ''] = ids;
      csp.faults.add('delete', fault, { times: 3 });

      for (const [retries, waitSeconds] of [
        [1, 60],
        [2, 120],
      ] as const) {
        expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, failed: 1 });
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
      expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, failed: 1, parked: 1 });
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
      expect(csp.calls.filter((call) => call.operation === 'delete')).toHaveLength(3);

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
      cleanup: { attempts: 1, retries: 1, lastError: 'server_error' },
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

describeOnEngines('cleaners at once', ({ endpoint }) => {
  it('two replicas that found the same work at once delete each sandbox once: the claim decides', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 4);
    const other = await replicaOfTest(core);
    // Both have read what is due, and neither has claimed any of it yet.
    const claims = holdCalls();
    for (const replica of [core, other]) {
      injectFaults(replica.client).next('PutItem', claims.fault, { times: ids.length });
    }
    const runs = [cleanUp(core), cleanUp(other)];
    await until(() => claims.waiting === 2 * ids.length, { what: 'both set out' });
    claims.release();

    const counts = await Promise.all(runs);
    expect(counts.map((one) => one.due)).toEqual([4, 4]);
    expect(counts.reduce((sum, one) => sum + one.deleted, 0)).toBe(4);
    expect(counts.reduce((sum, one) => sum + one.skipped, 0)).toBe(4);
    expect(deletesAt(csp)).toEqual({ effective: 4, missed: 0 });
    expect(await statusCounts(core)).toEqual({ deleted: 4 });
  });

  it('while a delete is on its way, however long, nobody else sets out for it', async () => {
    const { core, csp } = await startWithUsed(endpoint, 1);
    const other = await replicaOfTest(core);
    const held = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: held.promise });
    const run = cleanUp(core);
    await csp.arrived('delete', 1);
    core.clock.advanceSeconds(CLAIM_SECONDS - 1);
    expect(await cleanUp(other)).toEqual(NOTHING);
    held.resolve();
    expect(await run).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect(deletesAt(csp)).toEqual({ effective: 1, missed: 0 });
  });

  it("a cleaner that dies between the provider's delete and the record's change is succeeded when its claim is over", async () => {
    const { port } = new URL(endpoint);
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(port) });
    closeAfterTest(() => proxy.close());
    const { core, csp, provider, ids } = await startWithUsed(proxy.endpoint, 1);
    const held = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: held.promise });
    const run = refused(cleanUp(core));
    await csp.arrived('delete', 1);
    await proxy.behave({ kind: 'refuse' });
    proxy.cutConnections();
    held.resolve();
    expect(await run).toBe('STORE_UNAVAILABLE');
    expect(deletesAt(csp)).toEqual({ effective: 1, missed: 0 });

    const { clock, client } = core;
    const other = await coreOfTest(endpoint, { provider, clock, table: client.table });
    expect((await recordOf(other, ids[0])).status).toBe('pending_deletion');
    core.clock.advanceSeconds(CLAIM_SECONDS - 1);
    expect(await cleanUp(other)).toEqual(NOTHING);
    core.clock.advanceSeconds(1);
    expect(await cleanUp(other)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    // The successor asked for the inventory first, and sent no second delete.
    expect(deletesAt(csp)).toEqual({ effective: 1, missed: 0 });
    expect(await recordOf(other, ids[0])).toMatchObject({
      status: 'deleted',
      reason: 'already_gone',
      cleanup: { attempts: 2, retries: 0 },
    });
  });

  it('a cleaner that comes back while its successor is at work leaves the record to that one', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    const other = await replicaOfTest(core);
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    csp.faults.add('delete', { kind: 'hold', until: first.promise });
    csp.faults.add('delete', { kind: 'hold', until: second.promise });
    const late = cleanUp(core);
    await csp.arrived('delete', 1);
    core.clock.advanceSeconds(CLAIM_SECONDS);
    const successor = cleanUp(other);
    await csp.arrived('delete', 2);

    const before = await recordOf(core, ids[0]);
    first.resolve();
    expect(await late).toEqual({ ...NOTHING, due: 1, skipped: 1 });
    expect(await recordOf(core, ids[0])).toEqual(before);
    second.resolve();
    expect(await successor).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    expect(deletesAt(csp)).toEqual({ effective: 1, missed: 1 });
    expect(await recordOf(core, ids[0])).toMatchObject({ status: 'deleted', reason: 'already_gone' });
  });

  it('a cleaner that comes back after its claim changes nothing, also when the sandbox has a new holder', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 1);
    const [id = ''] = ids;
    csp.settings.deleteMode = 'recycle';
    const held = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: held.promise });
    const late = cleanUp(core);
    await csp.arrived('delete', 1);

    core.clock.advanceSeconds(CLAIM_SECONDS);
    const other = await replicaOfTest(core);
    expect(await cleanUp(other)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    core.clock.advanceSeconds(60);
    expect(await sync(other)).toMatchObject({ revived: 1 });
    expect((await lease(other, 'new holder')).sandboxId).toBe(id);
    const before = await recordOf(core, id);
    held.resolve();
    expect(await late).toEqual({ ...NOTHING, due: 1, skipped: 1 });
    expect(await recordOf(core, id)).toEqual(before);
  });
});

describeOnEngines('a record that somebody bent by hand', ({ endpoint }) => {
  /** Puts garbage into a field that every reader needs. */
  async function bend(core: TestCore, sandboxId: string): Promise<void> {
    await core.client.update({
      Key: sandboxKey(sandboxId, core.reads.buckets),
      UpdateExpression: 'SET generation = :garbage',
      ExpressionAttributeValues: { ':garbage': 'three' },
    });
  }

  async function startReporting() {
    const unreadable: unknown[] = [];
    const { csp, core } = await startCspCore(endpoint, {
      onUnreadable: (sortKey) => unreadable.push(sortKey),
    });
    return { csp, core, unreadable };
  }

  it('is told of and left alone by allocation and sync; the others are leased and updated', async () => {
    const { core, csp, unreadable } = await startReporting();
    const [bent] = await stockCsp(core, csp, someAccounts(4));
    const bentId = String(bent?.csp_id);
    await bend(core, bentId);

    for (const [key, one] of csp.accounts) csp.accounts.set(key, { ...one, name: `new ${String(one.name)}` });
    csp.add(account());
    expect(await sync(core)).toMatchObject({ updated: 3, created: 1, stale: 0, skipped: 1 });
    expect(unreadable).toEqual([`S#${bentId}`]);
    for (const holder of ['a', 'b', 'c', 'd']) {
      const granted = await lease(core, holder);
      expect(granted.sandboxId).not.toBe(bentId);
    }
    expect(await refused(allocate(core, 'e'))).toBe('NO_SANDBOXES_AVAILABLE');
    expect(await core.client.get(sandboxKey(bentId, core.reads.buckets))).toMatchObject({
      generation: 'three',
    });
  });

  it('is told of and left alone by cleanup and expiry; the others are cleaned and expire', async () => {
    const { core, csp, unreadable } = await startReporting();
    await stockCsp(core, csp, someAccounts(6));
    const used = await giveBack(core, 3);
    await bend(core, used[0]?.sandboxId ?? '');
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 2, deleted: 2 });
    expect(unreadable).toEqual([`S#${used[0]?.sandboxId}`]);

    const held = await Promise.all(['a', 'b', 'c'].map((holder) => lease(core, holder)));
    await bend(core, held[1]?.sandboxId ?? '');
    core.clock.advanceSeconds(5 * HOUR_SECONDS);
    expect(await expire(core)).toEqual({ overdue: 2, marked: 2, skipped: 0 });
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 2, deleted: 2 });
    expect(await statusCounts(core)).toEqual({ deleted: 4 });
  });
});
