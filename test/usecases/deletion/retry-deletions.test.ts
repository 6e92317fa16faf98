import { expect, it } from 'vitest';
import { context, HOUR_SECONDS, type TestCore } from '../../support/broker/core.ts';
import {
  cleanUp,
  giveBack,
  recordOf,
  someAccounts,
  startCspCore,
  stockCsp,
} from '../../support/broker/csp-core.ts';
import { account } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { failWith, injectFaults, refused } from '../../support/store/injected-faults.ts';

const NOTHING = { found: 0, changed: 0, skipped: 0, failed: 0 };
const retryAll = (core: TestCore, prefix?: string) =>
  core.useCases.retryDeletions({ prefix }, context('admin'));

describeOnEngines('trying all failed deletions again', ({ endpoint }) => {
  /** So many that were deleted in vain until they were parked, among others that went through. */
  async function parked(count: number) {
    const { core, csp } = await startCspCore(endpoint, { deletionMaxAttempts: 1 });
    await stockCsp(core, csp, [...someAccounts(count), ...someAccounts(count)]);
    const used = await giveBack(core, 2 * count);
    const ids = used.slice(0, count).map(({ sandboxId }) => sandboxId);
    for (const { externalId } of used.slice(0, count)) {
      const uuid = externalId.slice(externalId.lastIndexOf('/') + 1);
      csp.faults.add('delete', { kind: 'respond', status: 422 }, { uuid });
    }
    expect(await cleanUp(core)).toMatchObject({ parked: count, deleted: count });
    core.clock.advanceSeconds(HOUR_SECONDS);
    expect(await cleanUp(core)).toMatchObject({ due: 0 });
    return { core, csp, ids };
  }

  it('makes every one due at once with all its attempts, and is harmless to repeat', async () => {
    const { core, ids } = await parked(3);
    const { changedIds, ...done } = await retryAll(core);
    expect(done).toEqual({ counts: { ...NOTHING, found: 3, changed: 3 }, failedIds: [] });
    expect(changedIds.toSorted()).toEqual(ids.toSorted());
    for (const id of ids) {
      expect(await recordOf(core, id)).toMatchObject({
        status: 'pending_deletion',
        cleanup: { attempts: 0, retries: 0, dueMs: core.clock.nowMs() },
      });
    }
    expect(await retryAll(core)).toEqual({ counts: NOTHING, changedIds: [], failedIds: [] });
    expect(await cleanUp(core)).toMatchObject({ due: 3, deleted: 3 });
  });

  it('goes on past one that cannot be changed, and says which', async () => {
    const { core, ids } = await parked(3);
    const [bad = ''] = ids;
    const refusal = failWith(() => refused('ValidationException'));
    injectFaults(core.client).next('TransactWriteItems', refusal, {
      // In company, and alone.
      times: 2,
      matching: ({ json }) => json.includes(`"S#${bad}"`),
    });
    expect(await retryAll(core)).toMatchObject({
      counts: { ...NOTHING, found: 3, changed: 2, failed: 1 },
      failedIds: [bad],
    });
    expect(await retryAll(core)).toEqual({
      counts: { ...NOTHING, found: 1, changed: 1 },
      changedIds: [bad],
      failedIds: [],
    });
  });

  it('takes only those whose name begins so', async () => {
    const { core, csp } = await startCspCore(endpoint, { deletionMaxAttempts: 1 });
    const named = ['eu-1', 'eu-2', 'us-1', 'well'].map((name) => account({ name }));
    await stockCsp(core, csp, named);
    await giveBack(core, 4);
    for (const { id, name } of named) {
      const uuid = String(id).split('/').at(-1) ?? '';
      if (name !== 'well') csp.faults.add('delete', { kind: 'respond', status: 422 }, { uuid });
    }
    expect(await cleanUp(core)).toMatchObject({ parked: 3 });
    expect((await retryAll(core, 'eu-')).counts).toEqual({ ...NOTHING, found: 2, changed: 2 });
    expect((await retryAll(core)).counts).toEqual({ ...NOTHING, found: 1, changed: 1 });
  });
});
