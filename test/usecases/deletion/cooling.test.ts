import { expect, it } from 'vitest';
import { context, type TestCore } from '../../support/broker/core.ts';
import {
  cleanUp,
  coreOfTest,
  expire,
  historyOf,
  lease,
  mark,
  recordOf,
  refused,
  replicaOfTest,
  startCspCore,
  stockCsp,
  sync,
} from '../../support/broker/csp-core.ts';
import { account, uuidOf } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { Line } from '../line/line-callers.ts';

const MINUTE_MS = 60_000;
const freeCooled = (core: TestCore) => core.work.freeCooled(context('cooldown'));
const statusOf = async (core: TestCore, id: string) => (await recordOf(core, id)).status;

/** Leases the only sandbox, gives it back, and has it cleaned. */
async function clean(core: TestCore): Promise<string> {
  const { sandboxId } = await lease(core, 'a');
  await mark(core, 'a', sandboxId);
  expect(await cleanUp(core)).toMatchObject({ recycled: 1 });
  return sandboxId;
}

describeOnEngines('a sandbox that was cleaned', ({ endpoint }) => {
  it('is free when it has cooled down, not before, with a higher fencing token', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1, cooldownMs: MINUTE_MS });
    const id = await clean(core);
    expect(await recordOf(core, id)).toMatchObject({ coolUntilMs: core.clock.nowMs() + MINUTE_MS });
    core.clock.advanceSeconds(59);
    for (const run of [freeCooled, expire, sync, cleanUp]) await run(core);
    expect(await statusOf(core, id)).toBe('cooling');
    expect(await refused(lease(core, 'b'))).toBe('NO_SANDBOXES_AVAILABLE');
    expect(await mark(core, 'a', id)).toMatchObject({ status: 'cooling', repeated: true });
    expect(await refused(core.useCases.heartbeat({ sandboxId: id, holder: 'a' }, context()))).toBe(
      'LEASE_OVER',
    );
    expect(await core.work.count(new AbortController().signal)).toMatchObject({
      counts: { cooling: 1 },
      total: 1,
    });
    core.clock.advanceSeconds(1);
    await freeCooled(core);
    expect(await statusOf(core, id)).toBe('available');
    core.calls.clear();
    await freeCooled(core);
    expect(core.calls.count()).toBe(0);
    const { fencingToken = 0 } = await lease(core, 'b');
    const history = await historyOf(core, id);
    expect(history.slice(-3).map(({ action, to }) => [action, to])).toEqual([
      ['cleanup_recycled', 'cooling'],
      ['cooled', 'available'],
      ['allocate', 'allocated'],
    ]);
    expect(fencingToken).toBeGreaterThan(history[1]?.generation ?? Number.NaN);
  });

  it('goes to who waits, in the transaction that ends its cooldown', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1, cooldownMs: MINUTE_MS });
    const id = await clean(core);
    const line = new Line(core);
    expect(await line.join('bob')).toMatchObject({ etaSeconds: 60 });
    core.clock.advanceSeconds(60);
    await freeCooled(core);
    expect(await recordOf(core, id)).toMatchObject({ status: 'allocated', lease: { holder: 'bob' } });
  });

  it('is found by the search for what is due when the replica that cleaned it is gone, and rests as it was told', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1, cooldownMs: MINUTE_MS });
    const id = await clean(core);
    // Started with another setting: that is for what is cleaned from now on.
    const other = await replicaOfTest(core, { cooldownMs: 0, provider: core.provider });
    await freeCooled(other);
    expect(await expire(other)).toEqual({ overdue: 0, marked: 0, skipped: 0 });
    core.clock.advanceSeconds(60);
    expect(await expire(other)).toEqual({ overdue: 0, marked: 0, skipped: 0, cooled: 1 });
    expect(await statusOf(core, id)).toBe('available');
    await clean(other);
    expect(await statusOf(core, id)).toBe('available');
  });

  it('is free at once without a cooldown, in as many writes as ever', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1 });
    const id = await clean(core);
    expect(await statusOf(core, id)).toBe('available');
  });

  it('cools down on, whether it is kept out of the pool, or not listed, meanwhile', async () => {
    const { core, csp } = await startCspCore(endpoint, { cooldownMs: 10 * MINUTE_MS });
    const [one] = await stockCsp(core, csp, [account()]);
    const { sandboxId: id } = await lease(core, 'a');
    await mark(core, 'a', id);
    await cleanUp(core);
    for (const isListed of [false, true]) {
      core.clock.advanceSeconds(60);
      if (isListed && one) csp.add(one);
      await sync(core, true);
    }
    // Destroyed, seen gone, and listed anew: what it used at the provider may be used still.
    expect(await recordOf(core, id)).toMatchObject({ status: 'cooling' });
    core.clock.advanceSeconds(60);
    if (one) csp.accounts.delete(uuidOf(one));
    expect(await sync(core, true)).toMatchObject({ stale: 1 });
    const admin = context('admin');
    await core.useCases.quarantineSandbox({ sandboxId: id, reason: 'odd', endLease: false }, admin);
    expect(await core.useCases.restoreSandbox(id, admin)).toMatchObject({ status: 'stale' });
    core.clock.advanceSeconds(60);
    if (one) csp.add(one);
    expect(await sync(core)).toMatchObject({ restored: 1 });
    expect(await recordOf(core, id)).toMatchObject({ status: 'cooling' });
    await core.useCases.quarantineSandbox({ sandboxId: id, reason: 'odd', endLease: false }, admin);
    expect(await core.useCases.restoreSandbox(id, admin)).toMatchObject({ status: 'cooling' });
    core.clock.advanceSeconds(600);
    await freeCooled(core);
    expect(await recordOf(core, id)).toMatchObject({ status: 'available' });
  });
});
