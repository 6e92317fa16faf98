import { expect, it } from 'vitest';
import { sandboxKey } from '../../../src/store/sandboxes/keys.ts';
import { HOUR_SECONDS, type TestCore } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  expire,
  giveBack,
  lease,
  refused,
  someAccounts,
  startCspCore,
  statusCounts,
  stockCsp,
  sync,
} from '../../support/broker/csp-core.ts';
import { account } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { NOTHING } from '../deletion/cleanup-steps.ts';

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
