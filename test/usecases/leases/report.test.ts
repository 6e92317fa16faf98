import { expect, it } from 'vitest';
import type { ReportInput } from '../../../src/usecases/leases/report-sandbox.ts';
import { context, LINE, type TestCore } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  coreOfTest,
  historyOf,
  lease,
  mark,
  recordOf,
  refused,
  replicaOfTest,
  statusCounts,
} from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { connectionReset, failWith, injectFaults, loseAnswer } from '../../support/store/injected-faults.ts';
import { Line } from '../line/line-callers.ts';

const report = (core: TestCore, holder: string, sandboxId: string, more: Partial<ReportInput> = {}) =>
  core.useCases.reportSandbox({ sandboxId, holder, reason: 'no disk', replace: false, ...more }, context());
const replaced = (core: TestCore, holder: string, sandboxId: string, more: Partial<ReportInput> = {}) =>
  report(core, holder, sandboxId, { replace: true, ...more });

/** The lease that a report came to. */
async function replacementOf(result: ReturnType<typeof report>) {
  const { replacement } = await result;
  if (replacement?.type !== 'served') throw new Error(`no lease, but ${JSON.stringify(replacement)}`);
  return replacement.lease;
}

describeOnEngines('a sandbox that its holder reports', ({ endpoint }) => {
  it('goes into quarantine, its lease is over, and operators are told', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 2 });
    const { sandboxId, leaseId } = await lease(core, 'a');
    expect(await refused(report(core, 'b', sandboxId))).toBe('NOT_SANDBOX_OWNER');
    expect(await refused(report(core, 'a', sandboxId, { leaseId: 'another' }))).toBe('LEASE_OVER');
    expect(await refused(report(core, 'a', 'no-such'))).toBe('SANDBOX_NOT_FOUND');
    expect(core.alerts).toEqual([]);
    expect(await report(core, 'a', sandboxId, { leaseId })).toEqual({ sandboxId, repeated: false });
    expect(await report(core, 'a', sandboxId)).toEqual({ sandboxId, repeated: true });
    expect(await mark(core, 'a', sandboxId)).toMatchObject({ status: 'quarantined', repeated: true });
    expect(core.alerts).toEqual([
      {
        task: 'pool',
        reason: 'sandbox_reported',
        severity: 'warning',
        context: { sandbox_id: sandboxId, name: expect.any(String), reason: 'no disk' },
      },
    ]);
    expect((await historyOf(core, sandboxId)).at(-1)).toMatchObject({
      action: 'report',
      from: 'allocated',
      to: 'quarantined',
      holder: 'a',
      detail: 'no disk',
    });
    // Nothing was asked for instead: that is an allocation of its own.
    expect(await refused(replaced(core, 'a', sandboxId))).toBe('LEASE_OVER');
    expect((await lease(core, 'a')).sandboxId).not.toBe(sandboxId);
  });

  it.for([[undefined], ['build-7']])(
    'is replaced under its own key (%s), once, however often it is reported',
    async ([idempotencyKey]) => {
      const core = await coreOfTest(endpoint, { poolSize: 3 });
      const asked = { idempotencyKey, lab: 'intro', heartbeatSeconds: 60, durationSeconds: 3_000 };
      const first = await lease(core, 'a', asked);
      core.clock.advanceSeconds(30);
      const [one, two] = await Promise.all([
        replacementOf(replaced(core, 'a', first.sandboxId)),
        replacementOf(replaced(core, 'a', first.sandboxId, { leaseId: first.leaseId })),
      ]);
      expect(two).toMatchObject({ sandboxId: one.sandboxId, leaseId: one.leaseId });
      expect(one.sandboxId).not.toBe(first.sandboxId);
      expect(one).toMatchObject({
        allocatedAt: first.allocatedAt + 30,
        expiresAt: first.expiresAt + 30,
        heartbeat: { seconds: 60 },
      });
      expect(await recordOf(core, one.sandboxId)).toMatchObject({ lease: { holder: 'a', lab: 'intro' } });
      expect(await allocate(core, 'a', asked)).toMatchObject({
        replayed: true,
        lease: { leaseId: one.leaseId },
      });
      expect(await statusCounts(core)).toEqual({ allocated: 1, quarantined: 1, available: 1 });
      expect(core.alerts).toHaveLength(1);
      // A duplicate that comes when the replacement is over finds that, and no third sandbox.
      await mark(core, 'a', one.sandboxId);
      expect(await refused(replaced(core, 'a', first.sandboxId))).toBe('LEASE_OVER');
      const listed = await core.useCases.listSandboxes({ holder: 'a', limit: 10 }, context('admin'));
      expect(listed.sandboxes.map(({ id }) => id).sort()).toEqual([first.sandboxId, one.sandboxId].sort());
      if (idempotencyKey) expect(await allocate(core, 'a', asked)).toMatchObject({ leaseOver: true });
    },
  );

  it('is replaced by one of the same name, or waits for one', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 2 });
    const { sandboxId, name } = await lease(core, 'a');
    const { replacement } = await replaced(core, 'a', sandboxId, { namePrefix: name });
    expect(replacement).toMatchObject({ type: 'waiting', inLine: { position: 1, waiting: 1 } });
    expect(await statusCounts(core)).toEqual({ quarantined: 1, available: 1 });
  });

  it('has its holder at the head of the line where nothing is free, in the order of reporting', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 3 });
    const line = new Line(core);
    const [a, b, c] = [await line.take('a'), await line.take('b'), await line.take('c')];
    await line.join('early', { priority: 9 });
    const first = await replaced(core, 'b', b);
    if (first.replacement?.type !== 'waiting') throw new Error('b got a sandbox');
    expect(first.replacement.inLine).toMatchObject({ position: 1, waiting: 2 });
    expect(await replaced(core, 'a', a)).toMatchObject({
      replacement: { inLine: { position: 2, waiting: 3 } },
    });
    const { ticket } = first.replacement.inLine;
    expect(await replaced(core, 'b', b)).toMatchObject({
      repeated: true,
      replacement: { inLine: { ticket } },
    });
    expect(await line.join('b')).toMatchObject({ ticket, position: 1 });
    await line.giveBack('c', c);
    expect(await replacementOf(replaced(core, 'b', b))).toMatchObject({ sandboxId: c });
    expect(await line.wait('b')).toMatchObject({ lease: { sandboxId: c }, replayed: true });
    await line.giveBack('b', c);
    expect(await line.wait('a')).toMatchObject({ lease: { sandboxId: c } });
    await line.giveBack('a', c);
    expect(await line.wait('early')).toMatchObject({ lease: { sandboxId: c } });
  });

  it('has lost its place when nobody has asked for it', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1 });
    const { sandboxId } = await lease(core, 'a');
    expect(await replaced(core, 'a', sandboxId)).toMatchObject({ replacement: { type: 'waiting' } });
    core.clock.advanceSeconds(LINE.patienceSeconds + 11);
    await core.work.tendLine(context());
    expect(await refused(replaced(core, 'a', sandboxId))).toBe('LEASE_OVER');
    expect(await refused(lease(core, 'a'))).toBe('NO_SANDBOXES_AVAILABLE');
  });

  it('has one replacement whatever is lost on the way, and however many replicas are asked', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 5 });
    const other = await replicaOfTest(core);
    const faults = injectFaults(core.client);
    const { sandboxId } = await lease(core, 'a');
    faults.next('TransactWriteItems', failWith(connectionReset));
    faults.next('TransactWriteItems', loseAnswer);
    const results = await Promise.all(
      [core, other, core, other].map((each) => replacementOf(replaced(each, 'a', sandboxId))),
    );
    expect(new Set(results.map(({ leaseId }) => leaseId)).size).toBe(1);
    expect(await statusCounts(core)).toEqual({ allocated: 1, quarantined: 1, available: 3 });
  });

  it('comes back clean when it is restored, and the fencing token rises over it', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 1 });
    const first = await lease(core, 'a');
    await report(core, 'a', first.sandboxId);
    await core.useCases.restoreSandbox(first.sandboxId, context('admin'));
    expect(await refused(report(core, 'a', first.sandboxId))).toBe('LEASE_OVER');
    await cleanUp(core);
    const second = await lease(core, 'a');
    expect(second.sandboxId).toBe(first.sandboxId);
    expect(second.fencingToken).toBeGreaterThan(first.fencingToken ?? Number.NaN);
  });
});
