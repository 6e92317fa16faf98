import { expect, onTestFinished, test } from 'vitest';
import { create } from '../../../src/domain/transitions.ts';
import { bucketOf } from '../../../src/store/sandboxes/keys.ts';
import type { TestCore } from '../../support/broker/core.ts';
import { allocate, refused } from '../../support/broker/csp-core.ts';
import { pausesOf } from '../../support/pauses.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { startFaultProxy } from '../../support/store/fault-proxy.ts';
import { duplicate, loseAnswer } from '../../support/store/injected-faults.ts';
import { auditLeases } from '../../support/store/table-audit.ts';
import { startFaulty, TRANSACT, transactions } from './cancellation-steps.ts';

describeOnEngines('the answers to a cancelled allocation', ({ endpoint }) => {
  test('a win whose answer was lost is new to its caller, with one lease and one event', async () => {
    const { core, faults } = await startFaulty(endpoint, 3);
    faults.next(TRANSACT, loseAnswer);
    const { lease, replayed } = await allocate(core, 'h');
    expect(replayed).toBe(false);
    // It is read, not tried again.
    expect(transactions(faults)).toHaveLength(1);
    expect(core.calls.count('GetItem')).toBe(1);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
  });

  test('a win whose answer was lost on a connection that was cut is new to its caller, too', async () => {
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
    onTestFinished(() => proxy.close());
    const { core } = await startFaulty(proxy.endpoint, 3);
    proxy.swallowResponses(1, /TransactWriteItems/i);
    const { lease, replayed } = await allocate(core, 'h');
    expect(proxy.swallowedResponses).toBe(1);
    expect(replayed).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
  });

  test('a win whose answers were all lost is a replay for the caller who asks again', async () => {
    const { core, faults } = await startFaulty(endpoint, 3);
    faults.next(TRANSACT, loseAnswer);
    faults.next('GetItem', loseAnswer, { times: 4 });
    expect(await refused(allocate(core, 'h'))).toBe('STORE_UNAVAILABLE');
    const [found] = await auditLeases(core.client);
    const { lease, replayed } = await allocate(core, 'h');
    expect(replayed).toBe(true);
    expect(lease.sandboxId).toBe(found?.sandboxId);
    expect(await auditLeases(core.client)).toHaveLength(1);
  });

  test('a transaction that the network delivers twice leases one sandbox, once', async () => {
    const { core, faults } = await startFaulty(endpoint, 3);
    faults.next(TRANSACT, duplicate);
    const { lease, replayed } = await allocate(core, 'h');
    expect(replayed).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId }]);
  });

  test('the same request again is answered by one call, and the candidate goes back to the list', async () => {
    const { core } = await startFaulty(endpoint, 2);
    const first = await allocate(core, 'h', { lab: 'lab', idempotencyKey: 'k' });
    expect(core.readyList.size).toBe(1);
    core.calls.clear();
    const again = await allocate(core, 'h', { lab: 'lab', idempotencyKey: 'k' });
    expect(again).toEqual({ ...first, replayed: true });
    expect(core.calls.count()).toBe(1);
    expect(core.readyList.size).toBe(1);
    core.calls.clear();
    await allocate(core, 'other');
    expect(core.calls.count()).toBe(1);
  });

  test('another request under an explicit key is refused, and leases nothing', async () => {
    const { core } = await startFaulty(endpoint, 2);
    await allocate(core, 'h', { lab: 'lab', idempotencyKey: 'k' });
    core.calls.clear();
    expect(await refused(allocate(core, 'h', { lab: 'another', idempotencyKey: 'k' }))).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    );
    expect(core.calls.count()).toBe(1);
    expect(await refused(allocate(core, 'h', { lab: 'lab', namePrefix: 'lab-', idempotencyKey: 'k' }))).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    );
    expect(await auditLeases(core.client)).toHaveLength(1);
    expect(core.readyList.size).toBe(1);
  });

  test('another request under a key that was never chosen is a replay', async () => {
    const { core } = await startFaulty(endpoint, 2);
    const first = await allocate(core, 'h', { lab: 'lab' });
    const again = await allocate(core, 'h', { lab: 'another', namePrefix: 'lab-' });
    expect(again).toEqual({ ...first, replayed: true });
    expect(await auditLeases(core.client)).toHaveLength(1);
  });

  test('a stale candidate costs one transaction, its bucket is read again, and the next is tried without a pause', async () => {
    const { core, faults } = await startFaulty(endpoint, 5);
    const faster = await core.replica();
    onTestFinished(() => faster.close());
    const taken: string[] = [];
    for (let i = 0; i < 5; i++) taken.push((await allocate(faster, `faster-${i}`)).lease.sandboxId);
    await addSandbox(faster, 'one-more');
    const {
      result: { lease, conflicts },
      pausesMs,
    } = await pausesOf(() => allocate(core, 'h'));
    expect(lease.sandboxId).toBe('one-more');
    const stale = new Set(taken.map((id) => bucketOf(id, 16))).size;
    expect(conflicts).toBe(stale);
    expect(transactions(faults)).toHaveLength(stale + 1);
    expect(pausesMs).toEqual([]);
    expect(await auditLeases(core.client)).toHaveLength(6);
  });
});

/** A sandbox that nobody has read yet. */
async function addSandbox(core: TestCore, sandboxId: string): Promise<void> {
  const seen = undefined;
  const description = { name: sandboxId, externalId: sandboxId, metadata: {} };
  const next = create(sandboxId, description, core.clock.nowMs());
  expect(await core.store.write({ seen, next })).toBe(true);
}
