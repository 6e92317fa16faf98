import { expect, onTestFinished, test } from 'vitest';
import type { DeleteOutcome } from '../../../src/provider/provider.ts';
import { createSimulatedProvider } from '../../../src/provider/simulated.ts';
import { context, HOUR_SECONDS, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import {
  cancelled,
  conflicted,
  duplicate,
  type FaultInjector,
  failWith,
  injectFaults,
  loseAnswer,
  refused,
} from '../../support/store/injected-faults.ts';
import { auditLeases } from '../../support/store/table-audit.ts';

const TRANSACT = 'TransactWriteItems';

/** What happens to the one write, by the sandbox it happens to. */
const DISTURBED = ['sim-0001', 'sim-0002', 'sim-0003', 'sim-0004'] as const;

describeOnEngines('writes whose answers are lost, in conflict, doubled or throttled', ({ endpoint }) => {
  let deletes: string[];

  /** A core with as many sandboxes as there are disturbances; `deleteEndsAs` is what the provider does. */
  async function start(deleteEndsAs: DeleteOutcome = 'recycled') {
    deletes = [];
    const simulated = createSimulatedProvider({ poolSize: DISTURBED.length });
    const provider = {
      ...simulated,
      async deleteSandbox(...args: Parameters<typeof simulated.deleteSandbox>) {
        deletes.push(args[0].sandboxId);
        await simulated.deleteSandbox(...args);
        return deleteEndsAs;
      },
    };
    const core = await startCore(endpoint, { poolSize: DISTURBED.length, provider });
    onTestFinished(() => core.close());
    return { core, simulated, faults: injectFaults(core.client) };
  }

  /** Each sandbox's next write is disturbed in its own way. */
  function disturb(faults: FaultInjector, operation: 'TransactWriteItems' | 'PutItem') {
    const [lost, conflict, doubled, throttled] = DISTURBED;
    const of = (sandboxId: string) => ({
      matching: ({ json }: { json: string }) => json.includes(`"S#${sandboxId}"`),
    });
    const conflictError =
      operation === 'PutItem' ? conflicted : () => cancelled('TransactionConflict', 'None', 'None');
    faults.next(operation, loseAnswer, of(lost));
    faults.next(operation, failWith(conflictError), { ...of(conflict), times: 2 });
    faults.next(operation, duplicate, of(doubled));
    faults.next(
      operation,
      failWith(() => refused('ThrottlingException')),
      of(throttled),
    );
  }

  async function leaseAll(core: TestCore): Promise<void> {
    for (const idempotencyKey of DISTURBED) {
      const { lease } = await core.useCases.allocateSandbox(
        { principal: 'track', holder: 'h', idempotencyKey },
        context(),
      );
      expect(DISTURBED).toContain(lease.sandboxId);
    }
  }

  const mark = (core: TestCore, sandboxId: string) =>
    core.useCases.markForDeletion({ sandboxId, holder: 'h' }, context());

  async function markAll(core: TestCore): Promise<void> {
    for (const sandboxId of DISTURBED) expect((await mark(core, sandboxId)).repeated, sandboxId).toBe(false);
  }

  /** Every disturbance was met, and every sandbox has the event, once. */
  async function expectOneEventEach(core: TestCore, faults: FaultInjector, action: string, to: string) {
    expect(faults.left).toBe(0);
    for (const sandboxId of DISTURBED) {
      const { sandbox, history } = await core.useCases.inspectSandbox(sandboxId, context('admin'));
      expect(sandbox.status, sandboxId).toBe(to);
      expect(
        history.filter((event) => event.action === action),
        sandboxId,
      ).toHaveLength(1);
      expect(history.at(-1), sandboxId).toMatchObject({ action, to, generation: sandbox.generation });
    }
  }

  test('a mark is done once, and new to the holder who asked', async () => {
    const { core, faults } = await start();
    await leaseAll(core);
    disturb(faults, TRANSACT);
    await markAll(core);
    await expectOneEventEach(core, faults, 'mark_for_deletion', 'pending_deletion');
  });

  test('an expiry is counted as marked, and the key is free again', async () => {
    const { core, faults } = await start();
    await leaseAll(core);
    core.clock.advanceSeconds(5 * HOUR_SECONDS);
    disturb(faults, TRANSACT);
    expect(await core.work.expire(context())).toEqual({ overdue: 4, marked: 4, skipped: 0 });
    await expectOneEventEach(core, faults, 'expire', 'pending_deletion');
    // No key is left that names one of them.
    expect(await auditLeases(core.client)).toEqual([]);
  });

  test('a claim is known as our own: each sandbox is deleted at the provider once', async () => {
    const { core, faults } = await start();
    await leaseAll(core);
    await markAll(core);
    disturb(faults, 'PutItem');
    expect(await core.work.cleanup(context())).toMatchObject({ due: 4, recycled: 4, skipped: 0 });
    expect(deletes.sort()).toEqual([...DISTURBED]);
    await expectOneEventEach(core, faults, 'cleanup_recycled', 'available');
  });

  test.for([
    ['recycled', 'cleanup_recycled', 'available', { recycled: 4 }],
    ['destroyed', 'cleanup_deleted', 'deleted', { deleted: 4 }],
  ] as const)("a cleanup's end as %s is written once", async ([outcome, action, to, counts]) => {
    const { core, faults } = await start(outcome);
    await leaseAll(core);
    await markAll(core);
    disturb(faults, TRANSACT);
    expect(await core.work.cleanup(context())).toMatchObject({ ...counts, due: 4, failed: 0, skipped: 0 });
    expect(deletes.sort()).toEqual([...DISTURBED]);
    await expectOneEventEach(core, faults, action, to);
  });

  test('a failed cleanup is written once', async () => {
    const { core, simulated, faults } = await start();
    await leaseAll(core);
    await markAll(core);
    simulated.fail({ operation: 'delete', kind: 'server_error', times: 4 });
    disturb(faults, TRANSACT);
    expect(await core.work.cleanup(context())).toMatchObject({ due: 4, failed: 4, skipped: 0 });
    await expectOneEventEach(core, faults, 'cleanup_failed', 'deletion_failed');
    for (const sandboxId of DISTURBED) {
      expect(await core.store.get(sandboxId)).toMatchObject({ cleanup: { attempts: 1, retries: 0 } });
    }
  });

  test.for([
    ['lost', loseAnswer, 1],
    ['in conflict', failWith(() => cancelled('TransactionConflict')), 1],
  ] as const)('a sync whose first transaction is %s creates every sandbox once', async ([, fault, times]) => {
    const provider = createSimulatedProvider({ poolSize: 40 });
    const core = await startCore(endpoint, { provider });
    onTestFinished(() => core.close());
    const faults = injectFaults(core.client);
    faults.next(TRANSACT, fault, { times });
    const run = await core.work.sync({ force: false }, context());
    expect(run).toMatchObject({ listed: 40, created: 40, skipped: 0 });
    expect(faults.left).toBe(0);
    expect(await core.reads.count(['available'], true)).toEqual({ available: 40 });
    for (const id of ['sim-0001', 'sim-0033', 'sim-0040']) {
      const { history } = await core.useCases.inspectSandbox(id, context('admin'));
      expect(history.map((event) => event.action)).toEqual(['sync_created']);
    }
    expect(await core.work.sync({ force: false }, context())).toMatchObject({ created: 0, unchanged: 40 });
  });
});
