import { expect, it } from 'vitest';
import { context, TERMS, type TestCore } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  coreOfTest,
  expire,
  historyOf,
  lease,
  mark,
  recordOf,
  refusal,
  refused,
  startCspCore,
  statusCounts,
  stockCsp,
  sync,
} from '../../support/broker/csp-core.ts';
import { account, uuidOf } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { Line } from '../line/line-callers.ts';

const admin = () => context('admin');
const quarantine = (core: TestCore, sandboxId: string, endLease = false, leaseId?: string) =>
  core.useCases.quarantineSandbox({ sandboxId, reason: 'disk errors', endLease, leaseId }, admin());
const restore = (core: TestCore, sandboxId: string) => core.useCases.restoreSandbox(sandboxId, admin());

describeOnEngines('a sandbox in quarantine', ({ endpoint }) => {
  it('is nobody’s until it is restored, and then free with a higher fencing token', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1 });
    const { sandboxId, fencingToken: first = 0 } = await lease(core, 'a');
    await mark(core, 'a', sandboxId);
    await cleanUp(core);
    expect(await quarantine(core, sandboxId)).toMatchObject({ status: 'quarantined' });
    expect(await quarantine(core, sandboxId)).toMatchObject({ quarantine: { reason: 'disk errors' } });
    expect(await refused(lease(core, 'b'))).toBe('NO_SANDBOXES_AVAILABLE');
    core.clock.advanceSeconds(60);
    for (const run of [sync, cleanUp, expire]) await run(core);
    expect(await statusCounts(core)).toEqual({ quarantined: 1 });
    expect(await core.work.count(new AbortController().signal)).toMatchObject({
      counts: { quarantined: 1, available: 0 },
      total: 1,
    });
    expect(await restore(core, sandboxId)).toMatchObject({ status: 'available' });
    expect(await restore(core, sandboxId)).toMatchObject({ status: 'available' });
    expect((await lease(core, 'b')).fencingToken).toBeGreaterThan(first);
    const history = await historyOf(core, sandboxId);
    expect(history.map(({ action, from, to, detail }) => [action, from, to, detail]).slice(-3)).toEqual([
      ['quarantine', 'available', 'quarantined', 'disk errors'],
      ['restore', 'quarantined', 'available', undefined],
      ['allocate', 'available', 'allocated', undefined],
    ]);
  });

  it('goes to who waits for it, in the transaction that restores it', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1 });
    const line = new Line(core);
    const only = await line.take('ada');
    await mark(core, 'ada', only);
    await quarantine(core, only);
    await line.join('bob');
    // Used: it is cleaned before bob gets it.
    expect(await restore(core, only)).toMatchObject({ status: 'pending_deletion' });
    await cleanUp(core);
    expect(await line.wait('bob')).toMatchObject({ lease: { sandboxId: only } });
    await line.giveBack('bob', only);
    await quarantine(core, only);
    await line.join('cyd');
    expect(await restore(core, only)).toMatchObject({ status: 'allocated', lease: { holder: 'cyd' } });
  });

  it('keeps its lease until that ends, and goes to no cleanup then, however it ends', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 3 });
    const leases = [await lease(core, 'a'), await lease(core, 'b'), await lease(core, 'c')];
    for (const { sandboxId, leaseId } of leases) {
      expect(await quarantine(core, sandboxId, false, leaseId)).toMatchObject({
        status: 'allocated',
        lease: { leaseId },
        quarantine: { reason: 'disk errors' },
      });
    }
    const [a, b, c] = leases.map(({ sandboxId }) => sandboxId) as [string, string, string];
    await core.useCases.extendLease({ sandboxId: a, holder: 'a', durationSeconds: 40_000 }, context());
    expect(await allocate(core, 'a')).toMatchObject({ replayed: true, lease: { sandboxId: a } });
    expect(await mark(core, 'a', a)).toMatchObject({ status: 'quarantined', repeated: false });
    expect(await mark(core, 'a', a)).toMatchObject({ status: 'quarantined', repeated: true });
    expect(await core.useCases.releaseSandbox(b, admin())).toMatchObject({ status: 'quarantined' });
    core.clock.advanceSeconds(TERMS.leaseSeconds + TERMS.bufferSeconds);
    expect(await expire(core)).toMatchObject({ marked: 1 });
    expect(await statusCounts(core)).toEqual({ quarantined: 3 });
    expect(await cleanUp(core)).toMatchObject({ due: 0 });
    const late = core.useCases.extendLease({ sandboxId: c, holder: 'c', durationSeconds: 60 }, context());
    expect(await refused(late)).toBe('LEASE_OVER');
    // Their keys are free again, and the pool is empty.
    expect(await refused(lease(core, 'a'))).toBe('NO_SANDBOXES_AVAILABLE');
    expect(await restore(core, a)).toMatchObject({ status: 'pending_deletion' });
    await cleanUp(core);
    expect(await lease(core, 'a')).toMatchObject({ sandboxId: a });
  });

  it('is none any more when it is called off before the lease ends', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1 });
    const { sandboxId } = await lease(core, 'a');
    await quarantine(core, sandboxId);
    expect(await restore(core, sandboxId)).toMatchObject({ status: 'allocated' });
    expect(await recordOf(core, sandboxId)).not.toHaveProperty('quarantine');
    expect(await mark(core, 'a', sandboxId)).toMatchObject({ status: 'pending_deletion' });
  });

  it('has no lease any more where that was asked for, and only the lease that was meant', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 2 });
    const { sandboxId, leaseId } = await lease(core, 'a');
    expect(await refused(quarantine(core, sandboxId, true, 'another'))).toBe('LEASE_OVER');
    expect(await quarantine(core, sandboxId)).toMatchObject({ status: 'allocated' });
    expect(await quarantine(core, sandboxId, true, leaseId)).toMatchObject({ status: 'quarantined' });
    const beat = core.useCases.heartbeat({ sandboxId, holder: 'a' }, context());
    expect(await refused(beat)).toBe('LEASE_OVER');
    expect((await lease(core, 'a')).sandboxId).not.toBe(sandboxId);
  });

  it('is neither revived nor withdrawn by what is listed, and given away again only if it is there', async () => {
    const { core, csp } = await startCspCore(endpoint);
    const [one] = await stockCsp(core, csp, [account(), account(), account()]);
    const id = String(one?.csp_id);
    await quarantine(core, id);
    core.clock.advanceSeconds(60);
    if (one) csp.accounts.delete(uuidOf(one));
    expect(await sync(core)).toMatchObject({ stale: 0, updated: 1, stale_refused: 0 });
    expect(await recordOf(core, id)).toMatchObject({
      status: 'quarantined',
      missingSinceMs: core.clock.nowMs(),
    });
    core.clock.advanceSeconds(60);
    expect(await sync(core)).toMatchObject({ updated: 0, stale: 0 });
    expect(await restore(core, id)).toMatchObject({ status: 'stale' });
    expect(await quarantine(core, id)).toMatchObject({ status: 'quarantined' });
    if (one) csp.add(one);
    core.clock.advanceSeconds(60);
    expect(await sync(core)).toMatchObject({ updated: 1, restored: 0, created: 0 });
    expect(await recordOf(core, id)).not.toHaveProperty('missingSinceMs');
    expect(await restore(core, id)).toMatchObject({ status: 'available' });
  });

  it('cannot be made of what is being deleted, or is', async () => {
    const { core, csp } = await startCspCore(endpoint, { deletionMaxAttempts: 1 });
    await stockCsp(core, csp, [account()]);
    const { sandboxId } = await lease(core, 'a');
    await mark(core, 'a', sandboxId);
    csp.faults.add('delete', { kind: 'respond', status: 500 });
    await cleanUp(core);
    expect(await quarantine(core, sandboxId)).toMatchObject({
      status: 'quarantined',
      lease: { holder: 'a' },
    });
    await core.work.purge({ gracePeriodHours: 0 }, context());
    for (const status of ['stale', 'deletion_failed'] as const) {
      await core.useCases.bulkDelete({ status }, admin());
    }
    expect(await restore(core, sandboxId)).toMatchObject({ status: 'pending_deletion' });
    await cleanUp(core);
    const late = await refusal(quarantine(core, sandboxId));
    expect(late).toMatchObject({ code: 'INVALID_STATE', details: { status: 'deleted' } });
  });
});
