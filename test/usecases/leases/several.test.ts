import { expect, it } from 'vitest';
import { TRACK_PRINCIPAL } from '../../../src/domain/lease.ts';
import type { AllocateInput } from '../../../src/usecases/leases/allocate-sandbox.ts';
import type { SeveralResult } from '../../../src/usecases/leases/allocate-several.ts';
import { context, TERMS, type TestCore } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  coreOfTest,
  expire,
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
import { auditLeases } from '../../support/store/table-audit.ts';

const BUFFER_END_SECONDS = TERMS.leaseSeconds + TERMS.bufferSeconds;
const TRANSACT = 'TransactWriteItems';
/** The first, and the store's own retries. */
const ATTEMPTS = 4;

const take = (
  core: TestCore,
  holder: string,
  count: number,
  more: Omit<Partial<AllocateInput>, 'count'> = {},
) => core.useCases.allocateSeveral({ principal: TRACK_PRINCIPAL, holder, count, ...more }, context());
const giveBack = (core: TestCore, holder: string, idempotencyKey?: string) =>
  core.useCases.markAll({ principal: TRACK_PRINCIPAL, holder, idempotencyKey }, context());
const idsOf = ({ leases }: SeveralResult) => leases.map(({ lease }) => lease.sandboxId);
const isOver = ({ leases }: SeveralResult) => leases.map(({ leaseOver }) => leaseOver === true);
const extend = (core: TestCore, holder: string, sandboxId: string, durationSeconds: number) =>
  core.useCases.extendLease({ sandboxId, holder, durationSeconds }, context());

/** The first ones, of which there must be so many. */
function first<Value>(values: readonly Value[]): [Value, Value] {
  const [one, two] = values;
  if (one === undefined || two === undefined) throw new Error('fewer than two');
  return [one, two];
}

describeOnEngines('several sandboxes for one key', ({ endpoint }) => {
  const start = (poolSize: number) => coreOfTest(endpoint, { poolSize });

  it('are leased in one transaction, each with its own lease, and found again by their key', async () => {
    const core = await start(20);
    const faults = injectFaults(core.client);
    const taken = await take(core, 'a', 16, { lab: 'intro' });
    expect(faults.calls.filter(({ operation }) => operation === TRANSACT)).toHaveLength(1);
    expect(taken).toMatchObject({ replayed: false, conflicts: 0 });
    expect(new Set(idsOf(taken)).size).toBe(16);
    expect(new Set(taken.leases.map(({ lease }) => lease.leaseId)).size).toBe(16);
    expect(await statusCounts(core)).toEqual({ allocated: 16, available: 4 });
    expect(await auditLeases(core.client)).toHaveLength(16);
    expect(await recordOf(core, first(idsOf(taken))[0])).toMatchObject({ lease: { lab: 'intro' } });
    for (const replica of [core, await replicaOfTest(core)]) {
      expect(await take(replica, 'a', 16)).toEqual({ ...taken, replayed: true });
    }
    const held = await core.useCases.listSandboxes({ holder: 'a', limit: 100 }, context('admin'));
    expect(held.sandboxes.map(({ id }) => id).sort()).toEqual(idsOf(taken).sort());
  });

  it('are none where fewer are free, and then the number is told', async () => {
    const core = await start(4);
    await lease(core, 'b');
    await expect(take(core, 'a', 4)).rejects.toMatchObject({
      code: 'NO_SANDBOXES_AVAILABLE',
      details: { count: 4, free: 3 },
      retryAfterSeconds: 5,
    });
    expect(await refused(take(core, 'a', 2, { namePrefix: 'no-such' }))).toBe('NO_SANDBOXES_AVAILABLE');
    expect(await statusCounts(core)).toEqual({ allocated: 1, available: 3 });
    expect(idsOf(await take(core, 'a', 3))).toHaveLength(3);
  });

  it('are all or none under a crowd, and no one is refused while enough are free', async () => {
    const core = await start(12);
    const replica = await replicaOfTest(core);
    const calls = Array.from({ length: 6 }, (_, n) => take(n % 2 ? core : replica, `h-${n}`, 3));
    const ends = await Promise.allSettled(calls);
    const served = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    expect(served).toHaveLength(4);
    expect(new Set(served.flatMap(idsOf)).size).toBe(12);
    for (const end of ends) {
      if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'NO_SANDBOXES_AVAILABLE' });
    }
    expect(await auditLeases(core.client)).toHaveLength(12);
  });

  it('are the same for all calls of a key at once, and for singles beside them never the same', async () => {
    const core = await start(8);
    const replica = await replicaOfTest(core);
    const [singles, ...same] = await Promise.all([
      Promise.all([lease(core, 's-1'), lease(replica, 's-2')]),
      take(core, 'a', 4),
      take(core, 'a', 4),
      take(replica, 'a', 4),
    ]);
    for (const one of same) expect(idsOf(one).sort()).toEqual(idsOf(first(same)[0]).sort());
    expect(same.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(idsOf(first(same)[0])).not.toContain(singles[0].sandboxId);
    expect(await statusCounts(core)).toEqual({ allocated: 6, available: 2 });
  });

  it('that were leased though the answer was lost, or the store failed first, are the first ones', async () => {
    const core = await start(6);
    const faults = injectFaults(core.client);
    faults.next(TRANSACT, loseAnswer);
    expect(await take(core, 'a', 3)).toMatchObject({ replayed: false });
    expect(await statusCounts(core)).toEqual({ allocated: 3, available: 3 });
    faults.next(TRANSACT, failWith(connectionReset));
    expect(await take(core, 'b', 3)).toMatchObject({ replayed: false });
    expect(await auditLeases(core.client)).toHaveLength(6);
  });

  it('are sent again by the store only: where no answer ever comes, the key is read once and says what came true', async () => {
    const core = await start(6);
    const faults = injectFaults(core.client);
    faults.next(TRANSACT, loseAnswer, { times: ATTEMPTS });
    expect(await take(core, 'a', 3)).toMatchObject({ replayed: false });
    expect(faults.calls.filter(({ operation }) => operation === TRANSACT)).toHaveLength(ATTEMPTS);
    expect(await auditLeases(core.client)).toHaveLength(3);
    faults.next(TRANSACT, failWith(connectionReset), { times: ATTEMPTS });
    expect(await refused(take(core, 'b', 3))).toBe('STORE_UNAVAILABLE');
    expect(faults.left).toBe(0);
    expect(await statusCounts(core)).toEqual({ allocated: 3, available: 3 });
  });

  it('leave nothing in the list of the free that a single call would try in vain', async () => {
    const core = await start(8);
    await core.readyList.refresh();
    await take(core, 'a', 6);
    const faults = injectFaults(core.client);
    await lease(core, 'b');
    await lease(core, 'c');
    expect(faults.calls.filter(({ operation }) => operation === TRANSACT)).toHaveLength(2);
  });

  it('are given back without what the holder has under another key', async () => {
    const core = await start(4);
    await take(core, 'a', 2);
    const other = await lease(core, 'a', { idempotencyKey: 'build-7' });
    expect(await giveBack(core, 'a')).toHaveLength(2);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: other.sandboxId }]);
  });

  it('are given back one by one; the key is over with the last', async () => {
    const core = await start(6);
    const [one, two] = first(idsOf(await take(core, 'a', 2)));
    await mark(core, 'a', one);
    const left = await take(core, 'a', 2);
    expect(left.leases.map(({ lease, leaseOver }) => [lease.sandboxId, leaseOver])).toEqual([
      [one, true],
      [two, undefined],
    ]);
    expect(await refused(allocate(core, 'a'))).toBe('IDEMPOTENCY_KEY_REUSED');
    await mark(core, 'a', two);
    expect(await auditLeases(core.client)).toEqual([]);
    const again = await take(core, 'a', 2);
    expect(again).toMatchObject({ replayed: false });
    expect(idsOf(again)).not.toContain(one);
  });

  it('are given back together, but not what has another lease by now', async () => {
    const core = await start(3);
    const [one, two] = first(idsOf(await take(core, 'a', 2)));
    await mark(core, 'a', one);
    await cleanUp(core);
    const { name } = await recordOf(core, one);
    expect((await lease(core, 'b', { namePrefix: name })).sandboxId).toBe(one);
    const [marked, ...others] = await giveBack(core, 'a');
    expect(others).toEqual([]);
    expect(marked).toMatchObject({ sandboxId: two, status: 'pending_deletion', repeated: false });
    expect(await recordOf(core, one)).toMatchObject({ status: 'allocated', lease: { holder: 'b' } });
    expect(await giveBack(core, 'a')).toMatchObject([{ sandboxId: two, repeated: true }]);
    expect(await refused(giveBack(core, 'nobody'))).toBe('SANDBOX_NOT_FOUND');
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: one, holder: 'b' }]);
  });

  it('of one that is given back together with its key are one', async () => {
    const core = await start(1);
    const { sandboxId } = await lease(core, 'a', { idempotencyKey: 'build-7' });
    expect(await refused(giveBack(core, 'a'))).toBe('SANDBOX_NOT_FOUND');
    expect(await giveBack(core, 'a', 'build-7')).toMatchObject([{ sandboxId, repeated: false }]);
  });

  it('are remembered under a key that the caller chose, and never replaced by others', async () => {
    const core = await start(8);
    const asked = { idempotencyKey: 'build-7' };
    const taken = await take(core, 'a', 3, asked);
    expect(await refused(take(core, 'a', 2, asked))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(await refused(allocate(core, 'a', asked))).toBe('IDEMPOTENCY_KEY_REUSED');
    await giveBack(core, 'a', 'build-7');
    const over = await take(core, 'a', 3, asked);
    expect(idsOf(over)).toEqual(idsOf(taken));
    expect(isOver(over)).toEqual([true, true, true]);
    expect(await refused(allocate(core, 'a', asked))).toBe('IDEMPOTENCY_KEY_REUSED');
    const single = await lease(core, 'b', { idempotencyKey: 'build-8' });
    expect(await refused(take(core, 'b', 2, { idempotencyKey: 'build-8' }))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(idsOf(taken)).not.toContain(single.sandboxId);
  });

  it('have one number at a time under the key of their holder', async () => {
    const core = await start(6);
    await lease(core, 'a');
    expect(await refused(take(core, 'a', 2))).toBe('IDEMPOTENCY_KEY_REUSED');
    await take(core, 'b', 2);
    expect(await refused(take(core, 'b', 3))).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(await statusCounts(core)).toEqual({ allocated: 3, available: 3 });
  });

  it('are extended each for itself; their key lasts as long as the longest', async () => {
    const core = await coreOfTest(endpoint, {
      poolSize: 4,
      terms: { ...TERMS, maxLeaseSeconds: 4 * TERMS.leaseSeconds },
    });
    const taken = await take(core, 'a', 2);
    const [one, two] = first(idsOf(taken));
    await extend(core, 'a', one, 3 * TERMS.leaseSeconds);
    await extend(core, 'a', two, 2 * TERMS.leaseSeconds);
    core.clock.advanceSeconds(BUFFER_END_SECONDS + TERMS.leaseSeconds);
    expect(await expire(core)).toMatchObject({ overdue: 1, marked: 1 });
    const left = await take(core, 'a', 2);
    expect(left).toMatchObject({ replayed: true });
    expect(isOver(left)).toEqual([false, true]);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: one }]);
    core.clock.advanceSeconds(TERMS.leaseSeconds);
    expect(await take(core, 'a', 2)).toMatchObject({ replayed: false });
    expect(await expire(core)).toMatchObject({ marked: 1 });
    expect(await auditLeases(core.client)).toHaveLength(2);
  });

  it('end each for itself where its holder gives no sign of life of it', async () => {
    const core = await start(4);
    const [one, two] = first(idsOf(await take(core, 'a', 2, { heartbeatSeconds: 60 })));
    core.clock.advanceSeconds(60);
    await core.useCases.heartbeat({ sandboxId: one, holder: 'a' }, context());
    core.clock.advanceSeconds(60);
    expect(isOver(await take(core, 'a', 2, { heartbeatSeconds: 60 }))).toEqual([false, true]);
    expect((await recordOf(core, two)).status).toBe('pending_deletion');
    expect((await recordOf(core, one)).status).toBe('allocated');
  });

  it('lose one to a quarantine or a report, without another in its place, and keep the rest', async () => {
    const core = await start(6);
    const [one, two] = first(idsOf(await take(core, 'a', 3)));
    await core.useCases.quarantineSandbox(
      { sandboxId: one, reason: 'no disk', endLease: true },
      context('admin'),
    );
    const reported = { sandboxId: two, holder: 'a', reason: 'no disk' };
    expect(await refused(core.useCases.reportSandbox({ ...reported, replace: true }, context()))).toBe(
      'INVALID_STATE',
    );
    await core.useCases.reportSandbox({ ...reported, replace: false }, context());
    expect(isOver(await take(core, 'a', 3))).toEqual([true, true, false]);
    expect(await statusCounts(core)).toEqual({ quarantined: 2, allocated: 1, available: 3 });
  });

  it('have fencing tokens above all earlier ones of theirs', async () => {
    const core = await start(2);
    const tokens = async () => {
      const { leases } = await take(core, 'a', 2);
      await giveBack(core, 'a');
      await cleanUp(core);
      return new Map(leases.map(({ lease }) => [lease.sandboxId, lease.fencingToken ?? 0]));
    };
    const before = await tokens();
    for (const [id, token] of await tokens()) expect(token).toBeGreaterThan(before.get(id) ?? 0);
    const [id] = before.keys();
    const actions = (await historyOf(core, id ?? '')).map(({ action }) => action);
    expect(actions.filter((action) => action === 'allocate')).toHaveLength(2);
  });
});
