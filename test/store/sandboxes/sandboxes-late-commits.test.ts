import { expect, onTestFinished, test } from 'vitest';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import {
  cancelled,
  type FaultInjector,
  failWith,
  holdCalls,
  injectFaults,
  type Straggler,
  straggle,
  timedOut,
} from '../../support/store/injected-faults.ts';
import { auditLeases } from '../../support/store/table-audit.ts';
import { until } from '../../support/until.ts';

/*
 * A call that was sent, was given up by its client, and arrives at the engine later, when the world has moved on:
 *
 *     sent ─── time-out ─── what others do meanwhile ─── it arrives
 */
describeOnEngines('calls that arrive late', ({ endpoint }) => {
  async function start(poolSize: number): Promise<{ core: TestCore; faults: FaultInjector }> {
    const core = await startCore(endpoint, { poolSize });
    onTestFinished(() => core.close());
    return { core, faults: injectFaults(core.client) };
  }

  const allocate = (core: TestCore, holder: string) =>
    core.useCases.allocateSandbox({ principal: 'track', holder }, context());

  const mark = (core: TestCore, sandboxId: string, holder: string) =>
    core.useCases.markForDeletion({ sandboxId, holder }, context());

  /** The next call of `operation` is late; whoever makes it tries again in vain, in whatever way, and gives up. */
  function loseFromSight(faults: FaultInjector, operation: string): Straggler {
    const late = straggle();
    faults.next(operation, late.fault);
    faults.next(operation, failWith(timedOut), { times: Number.POSITIVE_INFINITY });
    return late;
  }

  /** From then on everything goes through. */
  async function expectGivenUp(faults: FaultInjector, calling: Promise<unknown>): Promise<void> {
    await expect(calling).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryAfterSeconds: 1 });
    faults.clear();
  }

  test('an allocation that was sent again and won changes nothing when its first sending arrives', async () => {
    const { core, faults } = await start(2);
    const late = straggle();
    faults.next('TransactWriteItems', late.fault);
    const { lease, replayed } = await allocate(core, 'h');
    expect(replayed).toBe(false);
    expect(await late.arrive()).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
  });

  test('an allocation that arrives after its caller was told 503 is what the caller gets when it asks again', async () => {
    const { core, faults } = await start(2);
    const late = loseFromSight(faults, 'TransactWriteItems');
    await expectGivenUp(faults, allocate(core, 'h'));
    expect(await late.arrive()).toBe(true);
    const { lease, replayed } = await allocate(core, 'h');
    expect(replayed).toBe(true);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
  });

  test('a key never has two sandboxes: an allocation that arrives after its caller has asked again is refused', async () => {
    const { core, faults } = await start(8);
    const late = loseFromSight(faults, 'TransactWriteItems');
    await expectGivenUp(faults, allocate(core, 'h'));
    const { lease } = await allocate(core, 'h');
    expect(await late.arrive()).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
  });

  test('a sandbox never has two holders: an allocation that arrives after another has leased it is refused', async () => {
    const { core, faults } = await start(1);
    const late = loseFromSight(faults, 'TransactWriteItems');
    await expectGivenUp(faults, allocate(core, 'h'));
    await allocate(core, 'another');
    expect(await late.arrive()).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ holder: 'another' }]);
    await expect(allocate(core, 'h')).rejects.toMatchObject({ code: 'NO_SANDBOXES_AVAILABLE' });
  });

  test('an allocation that arrives while its caller tries the next candidate is its lease, and the only one', async () => {
    const { core, faults } = await start(2);
    const late = straggle();
    const next = holdCalls();
    faults.next('TransactWriteItems', late.fault);
    // The first sending is at work at this moment: the second one meets it.
    faults.next(
      'TransactWriteItems',
      failWith(() => cancelled('None', 'TransactionConflict', 'None')),
    );
    faults.next('TransactWriteItems', next.fault);
    const calling = allocate(core, 'h');
    await until(() => next.waiting === 1, { what: 'the next candidate is tried' });
    expect(await late.arrive()).toBe(true);
    next.release();
    const { lease, replayed } = await calling;
    expect(replayed).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
    const other = await allocate(core, 'another');
    expect(other.lease.sandboxId).not.toBe(lease.sandboxId);
  });

  test('an allocation that arrives after its lease was given back and the sandbox recycled is refused', async () => {
    const { core, faults } = await start(1);
    const late = straggle();
    faults.next('TransactWriteItems', late.fault);
    const { lease } = await allocate(core, 'h');
    await mark(core, lease.sandboxId, 'h');
    expect(await core.work.cleanup(context())).toMatchObject({ recycled: 1 });
    expect(await late.arrive()).toBe(false);
    expect(await auditLeases(core.client)).toEqual([]);
    expect((await allocate(core, 'another')).replayed).toBe(false);
  });

  test('a mark that arrives after the sandbox was leased to another does not take it away', async () => {
    const { core, faults } = await start(1);
    const { lease } = await allocate(core, 'h');
    const late = loseFromSight(faults, 'TransactWriteItems');
    await expectGivenUp(faults, mark(core, lease.sandboxId, 'h'));
    expect((await mark(core, lease.sandboxId, 'h')).repeated).toBe(false);
    await core.work.cleanup(context());
    await allocate(core, 'another');
    expect(await late.arrive()).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ holder: 'another' }]);
  });

  test.for([
    ['claim', 'PutItem'],
    ['last word', 'TransactWriteItems'],
  ] as const)(
    "a cleaner's %s that arrives after the sandbox was leased to another is refused",
    async ([, operation]) => {
      const { core, faults } = await start(1);
      const { lease } = await allocate(core, 'h');
      await mark(core, lease.sandboxId, 'h');
      const late = loseFromSight(faults, operation);
      await expectGivenUp(faults, core.work.cleanup(context()));
      core.clock.advanceSeconds(600);
      expect(await core.work.cleanup(context())).toMatchObject({ recycled: 1 });
      await allocate(core, 'another');
      expect(await late.arrive()).toBe(false);
      expect(await auditLeases(core.client)).toMatchObject([{ holder: 'another' }]);
    },
  );

  test("a sync's stale mark that arrives after the sandbox was leased is refused", async () => {
    const { core } = await start(1);
    const emptied = await core.replica({ syncMaxStaleRatio: 1 });
    onTestFinished(() => emptied.close());
    const itsFaults = injectFaults(emptied.client);
    const late = loseFromSight(itsFaults, 'TransactWriteItems');
    await expectGivenUp(itsFaults, emptied.work.sync({ force: false }, context()));
    await allocate(core, 'h');
    expect(await late.arrive()).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ holder: 'h' }]);
  });
});
