import { expect, it } from 'vitest';
import { HEARTBEAT_GRACE_SECONDS, TRACK_PRINCIPAL } from '../../../src/domain/lease.ts';
import { idempotencyKey, idempotencyPk } from '../../../src/store/sandboxes/keys.ts';
import { context, LINE, TERMS, type TestCore } from '../../support/broker/core.ts';
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
} from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { Line } from '../line/line-callers.ts';

const MINUTE = 60;
const BEAT_S = 30;
const SILENCE_S = BEAT_S + HEARTBEAT_GRACE_SECONDS;

const extend = (
  core: TestCore,
  holder: string,
  sandboxId: string,
  durationSeconds: number,
  leaseId?: string,
) => core.useCases.extendLease({ holder, sandboxId, durationSeconds, leaseId }, context());
const beat = (core: TestCore, holder: string, sandboxId: string, leaseId?: string) =>
  core.useCases.heartbeat({ holder, sandboxId, leaseId }, context());

describeOnEngines('a lease that is extended', ({ endpoint }) => {
  const start = (poolSize: number) => coreOfTest(endpoint, { poolSize });

  it('is not extended while somebody else waits for a sandbox like it, where that is so configured', async () => {
    const line = { ...LINE, extendWhileWaiting: false };
    const core = await coreOfTest(endpoint, { poolSize: 1, line });
    const granted = await lease(core, 'a', { durationSeconds: 10 * MINUTE });
    const join = (holder: string, namePrefix?: string) =>
      new Line(core).join(holder, namePrefix === undefined ? {} : { namePrefix });
    // Neither who wants another name nor what the holder itself waits for is in the way.
    await join('named', 'no-such');
    await core.useCases.allocateInLine(
      { principal: TRACK_PRINCIPAL, holder: 'a', idempotencyKey: 'second' },
      { seconds: 0, priority: 0, gone: new AbortController().signal },
      context(),
    );
    await extend(core, 'a', granted.sandboxId, 20 * MINUTE);
    const other = await join('b');
    const refusal = extend(core, 'a', granted.sandboxId, 30 * MINUTE);
    await expect(refusal).rejects.toMatchObject({
      code: 'OTHERS_WAIT',
      retryAfterSeconds: 30,
      details: { expires_at: granted.allocatedAt + 20 * MINUTE },
    });
    expect(await extend(core, 'a', granted.sandboxId, MINUTE)).toMatchObject({
      expiresAt: granted.allocatedAt + 20 * MINUTE,
    });
    expect(await refused(extend(core, 'c', granted.sandboxId, 30 * MINUTE))).toBe('NOT_SANDBOX_OWNER');
    await new Line(core).leave('b', other.ticket);
    expect(await extend(core, 'a', granted.sandboxId, 30 * MINUTE)).toMatchObject({
      expiresAt: granted.allocatedAt + 30 * MINUTE,
    });
    // A caller that has gone for good is nobody who waits.
    await join('d');
    core.clock.advanceSeconds(LINE.patienceSeconds + 11);
    expect(await extend(core, 'a', granted.sandboxId, 40 * MINUTE)).toMatchObject({
      expiresAt: granted.allocatedAt + 40 * MINUTE + LINE.patienceSeconds + 11,
    });
  });

  it('ends so long from now, in its record, its replay and its history; nobody takes it back before', async () => {
    const core = await start(1);
    const granted = await lease(core, 'a', { durationSeconds: 10 * MINUTE });
    core.clock.advanceSeconds(9 * MINUTE);
    core.calls.clear();
    const extended = await extend(core, 'a', granted.sandboxId, 20 * MINUTE, granted.leaseId);
    expect([core.calls.count('GetItem'), core.calls.count('TransactWriteItems'), core.calls.count()]).toEqual(
      [1, 1, 2],
    );
    const expiresAt = granted.allocatedAt + 29 * MINUTE;
    expect(extended).toEqual({ ...granted, expiresAt });
    expect(await allocate(core, 'a')).toMatchObject({ lease: { ...granted, expiresAt }, replayed: true });
    expect((await historyOf(core, granted.sandboxId)).at(-1)).toMatchObject({
      action: 'extend',
      from: 'allocated',
      to: 'allocated',
      holder: 'a',
      detail: `until ${expiresAt}`,
    });
    core.clock.advanceSeconds(20 * MINUTE + TERMS.bufferSeconds - 1);
    expect(await expire(core)).toMatchObject({ marked: 0 });
    expect(await allocate(core, 'a')).toMatchObject({ replayed: true });
    core.clock.advanceSeconds(1);
    expect(await expire(core)).toMatchObject({ marked: 1 });
  });

  it('is never shorter for it, and never longer than the longest lease', async () => {
    const core = await start(1);
    const { sandboxId, allocatedAt, expiresAt } = await lease(core, 'a');
    expect((await extend(core, 'a', sandboxId, 1)).expiresAt).toBe(expiresAt);
    const longest = allocatedAt + TERMS.maxLeaseSeconds;
    core.clock.advanceSeconds(MINUTE);
    expect((await extend(core, 'a', sandboxId, 10 * TERMS.maxLeaseSeconds)).expiresAt).toBe(longest);
    core.calls.clear();
    expect((await extend(core, 'a', sandboxId, TERMS.maxLeaseSeconds)).expiresAt).toBe(longest);
    // Nothing to write.
    expect(core.calls.count()).toBe(1);
  });

  it.each<[string, (core: TestCore, sandboxId: string) => Promise<unknown>]>([
    ['at its end, within the buffer', async (core) => core.clock.advanceSeconds(TERMS.leaseSeconds)],
    ['once it was given back', (core, id) => mark(core, 'a', id)],
    [
      'once the sandbox was recycled',
      async (core, id) => {
        await mark(core, 'a', id);
        await cleanUp(core);
      },
    ],
  ])('is over %s: nothing revives it', async (_, end) => {
    const core = await start(1);
    const { sandboxId } = await lease(core, 'a', { heartbeatSeconds: 3_600 });
    await end(core, sandboxId);
    const before = await recordOf(core, sandboxId);
    expect(await refused(extend(core, 'a', sandboxId, MINUTE))).toBe('LEASE_OVER');
    expect(await refused(beat(core, 'a', sandboxId))).toBe('LEASE_OVER');
    expect(await recordOf(core, sandboxId)).toEqual(before);
  });

  it('is the holder’s to extend, and the one that was meant', async () => {
    const core = await start(1);
    const first = await lease(core, 'a');
    expect(await refused(extend(core, 'b', first.sandboxId, MINUTE))).toBe('NOT_SANDBOX_OWNER');
    expect(await refused(beat(core, 'b', first.sandboxId))).toBe('NOT_SANDBOX_OWNER');
    await mark(core, 'a', first.sandboxId);
    await cleanUp(core);
    const second = await lease(core, 'a');
    expect(second.sandboxId).toBe(first.sandboxId);
    expect(await refused(extend(core, 'a', first.sandboxId, MINUTE, first.leaseId))).toBe('LEASE_OVER');
    expect(await refused(beat(core, 'a', first.sandboxId, first.leaseId))).toBe('LEASE_OVER');
    await extend(core, 'a', second.sandboxId, MINUTE, second.leaseId);
    expect(await refused(extend(core, 'a', 'sbx-nowhere', MINUTE))).toBe('SANDBOX_NOT_FOUND');
  });

  it('takes a key that the caller chose along, and that is remembered for as long', async () => {
    const core = await start(1);
    const asked = { idempotencyKey: 'k' };
    const granted = await lease(core, 'a', asked);
    await extend(core, 'a', granted.sandboxId, TERMS.maxLeaseSeconds);
    await mark(core, 'a', granted.sandboxId);
    core.clock.advanceSeconds(TERMS.maxLeaseSeconds + TERMS.bufferSeconds - 1);
    expect(await allocate(core, 'a', asked)).toMatchObject({ leaseOver: true });
    core.clock.advanceSeconds(1);
    expect(await refused(allocate(core, 'a', asked))).toBe('NO_SANDBOXES_AVAILABLE');
  });

  it('cannot go on where its key has another lease by the clock of another replica', async () => {
    const core = await start(2);
    const granted = await lease(core, 'a', { durationSeconds: MINUTE });
    const pk = idempotencyPk('track', 'a', 'a');
    // As if a replica with a clock far ahead had found it over, and leased another sandbox to the key.
    const item = await core.client.get(idempotencyKey(pk));
    await core.client.put({ Item: { ...item, lease_id: 'another' } });
    expect(await refused(extend(core, 'a', granted.sandboxId, 2 * MINUTE))).toBe('LEASE_OVER');
    expect(await recordOf(core, granted.sandboxId)).toMatchObject({
      lease: { expiresAt: granted.expiresAt },
    });
  });
});

describeOnEngines('a lease with a heartbeat', ({ endpoint }) => {
  const start = (poolSize: number) => coreOfTest(endpoint, { poolSize });
  const asked = { heartbeatSeconds: BEAT_S };

  it('goes on while its holder is heard of, one write without an event for each, and no longer than it lasts', async () => {
    const core = await start(1);
    const { sandboxId, allocatedAt, heartbeat } = await lease(core, 'a', { ...asked, durationSeconds: 95 });
    expect(heartbeat).toEqual({ seconds: BEAT_S, by: allocatedAt + BEAT_S });
    const events = await historyOf(core, sandboxId);
    for (const passed of [BEAT_S, 2 * BEAT_S, 3 * BEAT_S]) {
      core.clock.advanceSeconds(BEAT_S);
      expect(await expire(core)).toMatchObject({ marked: 0 });
      core.calls.clear();
      expect((await beat(core, 'a', sandboxId)).heartbeat?.by).toBe(allocatedAt + passed + BEAT_S);
      expect([core.calls.count('PutItem'), core.calls.count()]).toEqual([1, 2]);
    }
    expect(await historyOf(core, sandboxId)).toEqual(events);
    core.clock.advanceSeconds(5);
    expect(await refused(beat(core, 'a', sandboxId))).toBe('LEASE_OVER');
    // Its end is a lease's end: the buffer comes after it.
    core.clock.advanceSeconds(TERMS.bufferSeconds - 1);
    expect(await expire(core)).toMatchObject({ marked: 0 });
    core.clock.advanceSeconds(1);
    expect(await expire(core)).toMatchObject({ marked: 1 });
  });

  it('is over with a silence and its grace, whoever finds that out, and a late beat does not revive it', async () => {
    const core = await start(1);
    const other = await replicaOfTest(core);
    const { sandboxId } = await lease(core, 'a', asked);
    core.clock.advanceSeconds(SILENCE_S - 1);
    expect(await expire(core)).toMatchObject({ overdue: 0 });
    core.clock.advanceSeconds(1);
    expect(await refused(beat(other, 'a', sandboxId))).toBe('LEASE_OVER');
    expect(await refused(extend(other, 'a', sandboxId, MINUTE))).toBe('LEASE_OVER');
    expect(await expire(other)).toMatchObject({ marked: 1 });
    expect((await historyOf(core, sandboxId)).at(-1)).toMatchObject({ action: 'expire', detail: 'silent' });
    expect(await refused(beat(core, 'a', sandboxId))).toBe('LEASE_OVER');
  });

  it('a beat within the grace, and an extension, whatever it moves, are signs of life; an operator gives none', async () => {
    const core = await start(1);
    const { sandboxId } = await lease(core, 'a', asked);
    core.clock.advanceSeconds(SILENCE_S - 1);
    await beat(core, 'a', sandboxId);
    core.clock.advanceSeconds(SILENCE_S - 1);
    await extend(core, 'a', sandboxId, 2 * TERMS.leaseSeconds);
    core.clock.advanceSeconds(SILENCE_S - 1);
    expect(await expire(core)).toMatchObject({ overdue: 0 });
    const before = await historyOf(core, sandboxId);
    await extend(core, 'a', sandboxId, MINUTE);
    expect(await historyOf(core, sandboxId)).toEqual(before);
    core.clock.advanceSeconds(SILENCE_S - 1);
    expect(await expire(core)).toMatchObject({ overdue: 0 });
    await core.useCases.extendForHolder(
      { sandboxId, durationSeconds: 3 * TERMS.leaseSeconds },
      context('admin'),
    );
    core.clock.advanceSeconds(1);
    expect(await expire(core)).toMatchObject({ marked: 1 });
  });

  it('a beat that lost to the expiry, or won against it, leaves one story', async () => {
    const core = await start(8);
    for (let number = 0; number < 8; number++) await lease(core, `h-${number}`, asked);
    core.clock.advanceSeconds(SILENCE_S - 1);
    // A replica whose clock is a second ahead takes back what another is told is alive.
    const ahead = await replicaOfTest(core, {
      clock: { nowMs: () => core.clock.nowMs() + 1_000 },
    });
    const leases = (await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((n) => allocate(core, `h-${n}`)))).map(
      ({ lease }) => lease,
    );
    const [, ...beats] = await Promise.all([
      expire(ahead),
      ...leases.map(({ sandboxId }, number) =>
        beat(core, `h-${number}`, sandboxId).then(
          () => 'alive',
          () => 'over',
        ),
      ),
    ]);
    for (const [number, { sandboxId }] of leases.entries()) {
      const { status } = await recordOf(core, sandboxId);
      expect(status).toBe(beats[number] === 'alive' ? 'allocated' : 'pending_deletion');
    }
  });

  it('asked for again after a silence, its key has a new one; a chosen key is told that it is over', async () => {
    const core = await start(3);
    const byHolder = await lease(core, 'a', asked);
    const chosen = { ...asked, idempotencyKey: 'k' };
    const byKey = await lease(core, 'b', chosen);
    core.clock.advanceSeconds(SILENCE_S - 1);
    expect(await allocate(core, 'a', asked)).toMatchObject({ lease: byHolder, replayed: true });
    core.clock.advanceSeconds(1);
    expect((await lease(core, 'a', asked)).sandboxId).not.toBe(byHolder.sandboxId);
    expect(await allocate(core, 'b', chosen)).toMatchObject({
      lease: { sandboxId: byKey.sandboxId },
      leaseOver: true,
    });
    for (const { sandboxId } of [byHolder, byKey]) {
      expect((await recordOf(core, sandboxId)).status).toBe('pending_deletion');
    }
  });

  it('asked for again while it runs, tells of the last sign of life', async () => {
    const core = await start(1);
    const { sandboxId } = await lease(core, 'a', asked);
    core.clock.advanceSeconds(BEAT_S);
    const { heartbeat } = await beat(core, 'a', sandboxId);
    expect((await allocate(core, 'a', asked)).lease.heartbeat).toEqual(heartbeat);
  });

  it('a lease that asked for none is told that it runs, and nothing is written', async () => {
    const core = await start(1);
    const granted = await lease(core, 'a');
    core.calls.clear();
    expect(await beat(core, 'a', granted.sandboxId)).toEqual(granted);
    expect(core.calls.count()).toBe(1);
  });

  it('rewritten by an earlier version, which knows no heartbeat, lasts as any lease and is lost to nobody', async () => {
    const core = await start(1);
    const { sandboxId, expiresAt } = await lease(core, 'a', asked);
    const seen = await recordOf(core, sandboxId);
    if (seen.status !== 'allocated') throw new Error(seen.status);
    const { heartbeat: _heartbeat, fencingToken: _token, ...known } = seen.lease;
    await core.store.write({ seen, next: { ...seen, generation: seen.generation + 1, lease: known } });
    core.clock.advanceSeconds(SILENCE_S);
    expect(await expire(core)).toMatchObject({ overdue: 0 });
    expect(await beat(core, 'a', sandboxId)).toMatchObject({ expiresAt });
    expect(await allocate(core, 'a', asked)).toMatchObject({ replayed: true });
    core.clock.advanceSeconds(TERMS.leaseSeconds + TERMS.bufferSeconds);
    expect(await expire(core)).toMatchObject({ marked: 1 });
  });
});
