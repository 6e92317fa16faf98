import { expect, it, onTestFinished } from 'vitest';
import {
  cleanUp,
  coreOfTest,
  lease,
  recordOf,
  refused,
  replicaOfTest,
  statusCounts,
  sync,
} from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { startFaultProxy } from '../../support/store/fault-proxy.ts';
import { holdCalls, injectFaults } from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { deletesAt, NOTHING, startWithUsed } from './cleanup-steps.ts';

/** `startCore`'s limit for one delete, and what a claim has on top. */
const CLAIM_SECONDS = 20 + 30;

describeOnEngines('cleaners at once', ({ endpoint }) => {
  it('two replicas that found the same work at once delete each sandbox once: the claim decides', async () => {
    const { core, csp, ids } = await startWithUsed(endpoint, 4);
    const other = await replicaOfTest(core);
    // Both have read what is due, and neither has claimed any of it yet.
    const claims = holdCalls();
    for (const replica of [core, other]) {
      injectFaults(replica.client).next('PutItem', claims.fault, {
        times: ids.length,
        matching: ({ json }) => json.includes('"claim_id"'),
      });
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
    onTestFinished(() => proxy.close());
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
    // The successor asked for the inventory first, and sent no second delete; one look at a listing is no proof.
    expect(await cleanUp(other)).toEqual({ ...NOTHING, due: 1, accepted: 1 });
    expect((await recordOf(other, ids[0])).status).toBe('pending_deletion');
    core.clock.advanceSeconds(30);
    expect(await cleanUp(other)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
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
    const [account] = csp.accounts.values();
    const held = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: held.promise });
    const late = cleanUp(core);
    await csp.arrived('delete', 1);

    core.clock.advanceSeconds(CLAIM_SECONDS);
    const other = await replicaOfTest(core);
    expect(await cleanUp(other)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    for (const there of [[], account ? [account] : []]) {
      csp.add(...there);
      core.clock.advanceSeconds(60);
      await sync(other);
    }
    expect((await lease(other, 'new holder')).sandboxId).toBe(id);
    const before = await recordOf(core, id);
    held.resolve();
    expect(await late).toEqual({ ...NOTHING, due: 1, skipped: 1 });
    expect(await recordOf(core, id)).toEqual(before);
  });
});
