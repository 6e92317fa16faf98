import { expect, it } from 'vitest';
import type { AllocateInput } from '../../../src/usecases/leases/allocate-sandbox.ts';
import { context, HOUR_SECONDS, TERMS, type TestCore } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  coreOfTest,
  expire,
  lease,
  mark,
  refused,
  replicaOfTest,
} from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { readTable } from '../../support/store/table-audit.ts';

const BUFFER_END_SECONDS = TERMS.leaseSeconds + TERMS.bufferSeconds;
const WINDOW_SECONDS = 24 * HOUR_SECONDS;

describeOnEngines('a key that the caller chose', ({ endpoint }) => {
  const start = (poolSize: number) => coreOfTest(endpoint, { poolSize });
  const asked: Partial<AllocateInput> = { idempotencyKey: 'build-7', lab: 'intro' };

  const keyItems = async (core: TestCore) =>
    (await readTable(core.client)).filter(({ pk, sk }) => String(pk).startsWith('I#') && sk === 'I');
  const free = async (core: TestCore) =>
    (await core.useCases.listSandboxes({ status: 'available', limit: 100 }, context())).sandboxes.length;

  it.each<[string, (core: TestCore, sandboxId: string) => Promise<unknown>]>([
    ['given back', (core, id) => mark(core, 'a', id)],
    ['released by an operator', (core, id) => core.useCases.releaseSandbox(id, context('admin'))],
    [
      'expired',
      (core) => {
        core.clock.advanceSeconds(BUFFER_END_SECONDS);
        return expire(core);
      },
    ],
    [
      'past its time, before any expiry has come round',
      async ({ clock }) => clock.advanceSeconds(BUFFER_END_SECONDS),
    ],
  ])('tells a late duplicate that its lease is over, and takes no second sandbox: %s', async (_, end) => {
    const core = await start(3);
    const granted = await lease(core, 'a', asked);
    await end(core, granted.sandboxId);
    const over = { lease: granted, replayed: true, leaseOver: true, conflicts: 0 };
    expect(await allocate(core, 'a', asked)).toEqual(over);
    // The sandbox is clean again, and another's.
    await expire(core);
    await cleanUp(core);
    for (const holder of ['b', 'c', 'd']) await lease(core, holder);
    expect(await allocate(core, 'a', asked)).toEqual(over);
    const replica = await replicaOfTest(core);
    expect(await allocate(replica, 'a', asked)).toEqual(over);
    expect(await refused(allocate(core, 'a', { ...asked, lab: 'other' }))).toBe('IDEMPOTENCY_KEY_REUSED');
  });

  it('is remembered for a day from its lease, and not a second longer', async () => {
    const core = await start(2);
    const granted = await lease(core, 'a', asked);
    core.clock.advanceSeconds(10);
    await mark(core, 'a', granted.sandboxId);
    core.clock.advanceSeconds(WINDOW_SECONDS - 11);
    expect(await allocate(core, 'a', asked)).toMatchObject({ leaseOver: true });
    expect(await free(core)).toBe(1);
    core.clock.advanceSeconds(1);
    expect((await lease(core, 'a', asked)).sandboxId).not.toBe(granted.sandboxId);
  });

  it('is remembered for as long as a lease of more than a day lasts', async () => {
    const leaseSeconds = 2 * WINDOW_SECONDS;
    const terms = { leaseSeconds, maxLeaseSeconds: leaseSeconds, bufferSeconds: 60 };
    const core = await coreOfTest(endpoint, { poolSize: 2, terms });
    const granted = await lease(core, 'a', asked);
    await mark(core, 'a', granted.sandboxId);
    core.clock.advanceSeconds(2 * WINDOW_SECONDS + 59);
    expect(await allocate(core, 'a', asked)).toMatchObject({ leaseOver: true });
    core.clock.advanceSeconds(1);
    await lease(core, 'a', asked);
  });

  it('costs the end of a lease no item more, and TTL does not take it before its time', async () => {
    const core = await start(2);
    const granted = await lease(core, 'a', asked);
    const [before] = await keyItems(core);
    core.calls.clear();
    await mark(core, 'a', granted.sandboxId);
    expect(core.calls.count('TransactWriteItems')).toBe(1);
    const [after] = await keyItems(core);
    expect(after).toEqual({ ...before, expires_at: 0 });
    expect(after?.['ttl']).toBeGreaterThan(granted.allocatedAt + WINDOW_SECONDS);
  });

  it('is free with the release where it is the default one, the holder', async () => {
    const core = await start(3);
    const granted = await lease(core, 'a');
    await mark(core, 'a', granted.sandboxId);
    await lease(core, 'a');
    expect(await keyItems(core)).toHaveLength(1);
  });

  it('does not keep the default one of a holder of its name from leasing anew', async () => {
    const core = await start(3);
    const chosen = await lease(core, 'a', { idempotencyKey: 'a' });
    await mark(core, 'a', chosen.sandboxId);
    await core.readyList.refresh();
    const [over, anew] = await Promise.all([allocate(core, 'a', { idempotencyKey: 'a' }), lease(core, 'a')]);
    expect(anew.sandboxId).not.toBe(chosen.sandboxId);
    expect([chosen.sandboxId, anew.sandboxId]).toContain(over.lease.sandboxId);
    expect(over.replayed).toBe(true);
  });

  it('is forgotten with the lease where both are of a broker that knew no better', async () => {
    const core = await start(2);
    const granted = await lease(core, 'a', asked);
    for (const { pk, sk, ...item } of await readTable(core.client)) {
      const { remembered_until, key_remembered_until, ...older } = item;
      if (remembered_until === undefined && key_remembered_until === undefined) continue;
      await core.client.put({ Item: { pk, sk, ...older } });
    }
    expect(await allocate(core, 'a', asked)).toEqual({ lease: granted, replayed: true, conflicts: 0 });
    await mark(core, 'a', granted.sandboxId);
    await lease(core, 'a', asked);
  });
});
