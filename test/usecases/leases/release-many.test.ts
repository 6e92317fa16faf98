import { expect, it } from 'vitest';
import type { ManyInput } from '../../../src/usecases/leases/operate-on-many.ts';
import { context, type TestCore } from '../../support/broker/core.ts';
import { cleanUp, coreOfTest, lease, recordOf, refusal } from '../../support/broker/csp-core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { type Fault, failWith, injectFaults, refusedForGood } from '../../support/store/injected-faults.ts';

describeOnFastEngine('taking back all that a filter means', ({ endpoint }) => {
  const release = (core: TestCore, input: ManyInput) =>
    core.useCases.releaseSandboxes(input, context('admin'));
  const statusesOf = async (core: TestCore, ids: readonly string[]) =>
    Promise.all(ids.map(async (id) => (await recordOf(core, id)).status));
  async function leased(core: TestCore, holders: readonly string[]): Promise<string[]> {
    return await Promise.all(holders.map(async (holder) => (await lease(core, holder)).sandboxId));
  }

  it('ends their leases and no other, as many as the count said', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 6 });
    const [one, two] = await leased(core, ['class-a-1', 'class-a-2', 'class-b-1']);
    const filter = { holderPrefix: 'class-a-' };
    const counted = await core.useCases.countSandboxes({ ...filter, status: 'allocated' }, context('admin'));
    expect(counted).toEqual({ count: 2, asOfMs: core.clock.nowMs() });
    const done = await release(core, filter);
    expect(done).toMatchObject({ counts: { found: 2, changed: 2, skipped: 0, failed: 0 }, failedIds: [] });
    expect(done.changedIds.toSorted()).toEqual([one, two].toSorted());
    expect(await release(core, filter)).toMatchObject({ counts: { found: 0 } });
    const left = await core.useCases.countSandboxes({ status: 'allocated' }, context('admin'));
    expect(left.count).toBe(1);
  });

  it('goes in steps of any size, each sandbox once', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 7 });
    const ids = await leased(core, ['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    const changed: string[] = [];
    let cursor: string | undefined;
    do {
      const step = await release(core, { limit: 2, cursor });
      expect(step.counts.found).toBeLessThanOrEqual(2);
      changed.push(...step.changedIds);
      cursor = step.cursor;
    } while (cursor !== undefined);
    expect(changed.toSorted()).toEqual(ids.toSorted());
    expect(await refusal(release(core, { limit: 2, cursor: 'made-up' }))).toMatchObject({
      code: 'INVALID_CURSOR',
    });
  });

  it('leaves alone who came after the count', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 3 });
    const [before = ''] = await leased(core, ['before']);
    const { asOfMs } = await core.useCases.countSandboxes({ status: 'allocated' }, context('admin'));
    core.clock.advanceSeconds(1);
    const [after = ''] = await leased(core, ['after']);
    const leasedBefore = Math.floor(asOfMs / 1000);
    expect((await release(core, { leasedBefore })).counts).toMatchObject({ found: 1, changed: 1 });
    expect(await statusesOf(core, [before, after])).toEqual(['pending_deletion', 'allocated']);
  });

  it('skips what has gone to somebody else since it was listed, and goes on past what cannot be changed', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 2 });
    const [gone = '', bad = ''] = await leased(core, ['gone', 'bad']);
    const faults = injectFaults(core.client);
    faults.next('TransactWriteItems', failWith(refusedForGood), {
      // In company, and alone.
      times: 2,
      matching: ({ json }) => json.includes(`"S#${bad}"`),
    });
    const leaseMeanwhile: Fault = async (send) => {
      await core.useCases.releaseSandbox(gone, context('admin'));
      await cleanUp(core);
      expect((await lease(core, 'next')).sandboxId).toBe(gone);
      return await send();
    };
    faults.next('GetItem', leaseMeanwhile, { matching: ({ json }) => json.includes(`"S#${gone}"`) });
    const { counts, failedIds } = await release(core, {});
    expect(counts).toEqual({ found: 2, changed: 0, skipped: 1, failed: 1 });
    expect(failedIds).toEqual([bad]);
    expect(await statusesOf(core, [gone, bad])).toEqual(['allocated', 'allocated']);
  });
});
