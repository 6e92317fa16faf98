import { expect, it } from 'vitest';
import { CLOCK_SKEW_ALLOWANCE_MS } from '../../../src/domain/inventory.ts';
import { context } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  giveBack,
  historyOf,
  lease,
  recordOf,
  refused,
  sync,
} from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { startWith } from './sync-steps.ts';

describeOnEngines('a tombstone', ({ endpoint }) => {
  it('keeps out a listing that began before the deletion ended, however long it took', async () => {
    const { core, csp, accounts, ids } = await startWith(endpoint, 1);
    await giveBack(core, 1);
    const held = Promise.withResolvers<void>();
    csp.faults.add('list', { kind: 'hold', until: held.promise });
    const run = sync(core);
    await csp.arrived('list', 2);
    core.clock.advanceSeconds(60);
    expect(await cleanUp(core)).toMatchObject({ deleted: 1 });
    core.clock.advanceSeconds(60);
    // The answer was put together before the deletion: it still has the account.
    csp.add(...accounts);
    held.resolve();
    expect(await run).toMatchObject({ listed: 1, created: 0, revived: 0, skipped: 0 });
    expect((await recordOf(core, ids[0])).status).toBe('deleted');
    expect(await refused(allocate(core, 'b'))).toBe('NO_SANDBOXES_AVAILABLE');
  });

  it('makes room for a fresh sandbox when one listing has lacked it and a later one has it', async () => {
    const { core, csp, accounts, ids } = await startWith(endpoint, 1);
    const [id = ''] = ids;
    await giveBack(core, 1);
    await cleanUp(core);
    core.clock.set(core.clock.nowMs() + CLOCK_SKEW_ALLOWANCE_MS);
    expect(await sync(core)).toMatchObject({ gone: 0, recent: 1 });
    core.clock.advanceSeconds(1);
    expect(await sync(core)).toMatchObject({ gone: 1, recent: 0 });
    csp.add(...accounts);
    core.clock.set(core.clock.nowMs() + CLOCK_SKEW_ALLOWANCE_MS);
    expect(await sync(core)).toMatchObject({ created: 0, revived: 0, recent: 1 });
    core.clock.advanceSeconds(1);
    expect(await sync(core)).toMatchObject({ created: 0, revived: 1 });
    const record = await recordOf(core, id);
    expect(record).toMatchObject({ status: 'available' });
    expect(record).not.toHaveProperty('lease');
    expect((await lease(core, 'b')).sandboxId).toBe(id);
    expect((await historyOf(core, id)).map((event) => event.action).slice(-3)).toEqual([
      'cleanup_deleted',
      'sync_revived',
      'allocate',
    ]);
  });

  it('a failed deletion whose record was purged comes back as one, never free: it was used', async () => {
    const { core, csp, ids } = await startWith(endpoint, 1);
    const [id = ''] = ids;
    await giveBack(core, 1);
    csp.faults.add('delete', { kind: 'respond', status: 500 });
    await cleanUp(core);
    expect(await core.useCases.bulkDelete({ status: 'deletion_failed' }, context('admin'))).toMatchObject({
      deleted: 1,
    });
    expect(await sync(core)).toMatchObject({ revived: 1 });
    expect(await recordOf(core, id)).toMatchObject({
      status: 'deletion_failed',
      lease: { holder: 'holder-1' },
      cleanup: { lastError: 'server_error' },
    });
    expect(await refused(allocate(core, 'b'))).toBe('NO_SANDBOXES_AVAILABLE');
    // It waits for an operator, who has it deleted at last.
    core.clock.advanceSeconds(86_400);
    expect(await cleanUp(core)).toMatchObject({ due: 0 });
    await core.useCases.retryDeletion(id, context('admin'));
    expect(await cleanUp(core)).toMatchObject({ deleted: 1 });
  });

  it('a stale record that was purged comes back free: it was clean', async () => {
    const { core, csp, accounts, ids } = await startWith(endpoint, 1);
    csp.accounts.clear();
    await sync(core, true);
    await core.useCases.bulkDelete({ status: 'stale' }, context('admin'));
    expect((await recordOf(core, ids[0])).status).toBe('deleted');
    csp.add(...accounts);
    expect(await sync(core)).toMatchObject({ revived: 1 });
    expect((await lease(core, 'a')).sandboxId).toBe(ids[0]);
  });
});
