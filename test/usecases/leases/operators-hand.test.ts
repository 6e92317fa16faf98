import { expect, it } from 'vitest';
import { context, LINE, TERMS } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  coreOfTest,
  historyOf,
  lease,
  mark,
  recordOf,
  refusal,
  refused,
  startCspCore,
  stockCsp,
} from '../../support/broker/csp-core.ts';
import { account } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { Line } from '../line/line-callers.ts';

describeOnEngines("an operator's hand", ({ endpoint }) => {
  const admin = () => context('admin');

  it("takes a leased sandbox back, whoever holds it: the key is free, the holder's mark is a repetition", async () => {
    const core = await coreOfTest(endpoint, { poolSize: 2 });
    const { sandboxId } = await lease(core, 'a');
    expect(await core.useCases.releaseSandbox(sandboxId, admin())).toMatchObject({
      status: 'pending_deletion',
    });
    expect(await core.useCases.releaseSandbox(sandboxId, admin())).toMatchObject({
      status: 'pending_deletion',
    });
    expect(await mark(core, 'a', sandboxId)).toMatchObject({ repeated: true });
    expect((await lease(core, 'a')).sandboxId).not.toBe(sandboxId);
    const history = await historyOf(core, sandboxId);
    expect(history.map(({ actor, action }) => [actor, action]).slice(2)).toEqual([['admin', 'release']]);
  });

  it('ends the lease that is meant, never the next one of the same sandbox', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1 });
    const { releaseSandbox, retryDeletion } = core.useCases;
    const { sandboxId } = await lease(core, 'a');
    const leaseIdOf = async () => {
      const record = await recordOf(core, sandboxId);
      return 'lease' in record ? record.lease?.leaseId : undefined;
    };
    const first = await leaseIdOf();
    for (const wrong of ['no-such-lease', sandboxId]) {
      for (const hand of [releaseSandbox, retryDeletion]) {
        expect(await refusal(hand(sandboxId, admin(), wrong))).toMatchObject({
          code: 'LEASE_OVER',
          details: { status: 'allocated' },
        });
      }
    }
    await releaseSandbox(sandboxId, admin(), first);
    expect(await releaseSandbox(sandboxId, admin(), first)).toMatchObject({ status: 'pending_deletion' });
    await cleanUp(core);
    expect(await refusal(releaseSandbox(sandboxId, admin(), first))).toMatchObject({
      details: { status: (await recordOf(core, sandboxId)).status },
    });
    await core.work.sync({ force: false }, context());
    core.clock.advanceSeconds(60);
    await core.work.sync({ force: false }, context());
    expect((await lease(core, 'b')).sandboxId).toBe(sandboxId);
    expect(await refused(releaseSandbox(sandboxId, admin(), first))).toBe('LEASE_OVER');
    expect(await releaseSandbox(sandboxId, admin(), await leaseIdOf())).toMatchObject({
      status: 'pending_deletion',
    });
  });

  it('extends a lease for its holder within the rules, also while others wait, and revives none', async () => {
    const core = await coreOfTest(endpoint, {
      poolSize: 2,
      line: { ...LINE, extendWhileWaiting: false },
      terms: { ...TERMS, maxLeaseSeconds: TERMS.leaseSeconds + 600 },
    });
    const { sandboxId, leaseId, expiresAt, allocatedAt } = await lease(core, 'a');
    const other = await lease(core, 'b');
    await new Line(core).join('c');
    const extend = (durationSeconds: number, lease?: string) =>
      core.useCases.extendForHolder({ sandboxId, durationSeconds, leaseId: lease }, admin());
    expect(await extend(TERMS.leaseSeconds + 60, leaseId)).toMatchObject({
      lease: { holder: 'a', expiresAt: allocatedAt + TERMS.leaseSeconds + 60 },
    });
    expect((await extend(60)).lease.expiresAt).toBe(expiresAt + 60);
    expect((await extend(10 * TERMS.leaseSeconds)).lease.expiresAt).toBe(expiresAt + 600);
    expect(await allocate(core, 'a')).toMatchObject({ lease: { sandboxId, expiresAt: expiresAt + 600 } });
    expect((await historyOf(core, sandboxId)).at(-1)).toMatchObject({ actor: 'admin', action: 'extend' });
    expect(await refused(extend(60, other.leaseId))).toBe('LEASE_OVER');
    core.clock.advanceSeconds(TERMS.leaseSeconds + 600 + TERMS.bufferSeconds);
    expect(await refused(extend(3_600))).toBe('LEASE_OVER');
    await core.work.expire(context());
    expect(await refusal(extend(3_600))).toMatchObject({
      code: 'INVALID_STATE',
      details: { status: 'pending_deletion' },
    });
  });

  it('has nothing to do with a sandbox in the wrong status, and says which it is in', async () => {
    const { core, csp } = await startCspCore(endpoint, { deletionMaxAttempts: 1 });
    const [one, two] = await stockCsp(core, csp, [account(), account()]);
    const { releaseSandbox, retryDeletion } = core.useCases;
    const wrong = async (call: Promise<unknown>, status: string) =>
      expect(await refusal(call)).toMatchObject({ code: 'INVALID_STATE', details: { status } });

    const id = String(one?.csp_id);
    await wrong(releaseSandbox(id, admin()), 'available');
    await wrong(retryDeletion(id, admin()), 'available');
    const held = await lease(core, 'a');
    await wrong(retryDeletion(held.sandboxId, admin()), 'allocated');
    await mark(core, 'a', held.sandboxId);
    csp.faults.add('delete', { kind: 'respond', status: 500 });
    await cleanUp(core);
    await wrong(releaseSandbox(held.sandboxId, admin()), 'deletion_failed');
    await retryDeletion(held.sandboxId, admin());
    await cleanUp(core);
    await wrong(releaseSandbox(held.sandboxId, admin()), 'deleted');
    await wrong(retryDeletion(held.sandboxId, admin()), 'deleted');

    const other =
      [one, two].map((each) => String(each?.csp_id)).find((each) => each !== held.sandboxId) ?? '';
    csp.accounts.clear();
    await core.work.sync({ force: true }, context());
    await wrong(releaseSandbox(other, admin()), 'stale');
    await wrong(retryDeletion(other, admin()), 'stale');
  });
});
