import { expect, it } from 'vitest';
import type { AllocateInput } from '../../../src/usecases/leases/allocate-sandbox.ts';
import { TERMS } from '../../support/broker/core.ts';
import {
  allocate,
  coreOfTest,
  expire,
  lease,
  mark,
  recordOf,
  refused,
} from '../../support/broker/csp-core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

const BUFFER_END_SECONDS = TERMS.leaseSeconds + TERMS.bufferSeconds;

describeOnEngines("a lease's life", ({ endpoint }) => {
  const start = (poolSize: number) => coreOfTest(endpoint, { poolSize });

  it('an expired lease frees its key: the same key gets a new sandbox and new times', async () => {
    const core = await start(2);
    const first = await lease(core, 'a');
    core.clock.advanceSeconds(BUFFER_END_SECONDS);
    await expire(core);
    const second = await lease(core, 'a', { lab: 'another' });
    expect(second.sandboxId).not.toBe(first.sandboxId);
    expect(second.allocatedAt).toBe(first.expiresAt + TERMS.bufferSeconds);
  });

  it('released and allocated again under the same key, it is a new lease', async () => {
    const core = await start(2);
    const first = await lease(core, 'a');
    await mark(core, 'a', first.sandboxId);
    core.clock.advanceSeconds(1);
    const second = await lease(core, 'a');
    expect(second.sandboxId).not.toBe(first.sandboxId);
    expect(second.allocatedAt).toBe(first.allocatedAt + 1);
    expect((await allocate(core, 'a')).lease).toEqual(second);
  });

  it("the expiry of an overrun lease leaves the key of its holder's next lease alone", async () => {
    const core = await start(2);
    const first = await lease(core, 'a');
    core.clock.advanceSeconds(BUFFER_END_SECONDS);
    // The key is free by time alone, before the expiry has come round.
    const second = await lease(core, 'a');
    expect(await expire(core)).toEqual({ overdue: 1, marked: 1, skipped: 0 });
    expect((await recordOf(core, first.sandboxId)).status).toBe('pending_deletion');
    expect(await allocate(core, 'a')).toEqual({ lease: second, replayed: true, conflicts: 0 });
  });

  it("a holder's late release of an overrun lease leaves the key of its next lease alone", async () => {
    const core = await start(2);
    const first = await lease(core, 'a');
    core.clock.advanceSeconds(BUFFER_END_SECONDS);
    const second = await lease(core, 'a');
    expect(await mark(core, 'a', first.sandboxId)).toMatchObject({ repeated: false });
    expect(await allocate(core, 'a')).toEqual({ lease: second, replayed: true, conflicts: 0 });
  });

  it('a holder with two keys has two leases, and gives them back one by one', async () => {
    const core = await start(3);
    const first = await lease(core, 'a', { idempotencyKey: 'one' });
    const second = await lease(core, 'a', { idempotencyKey: 'two' });
    expect(second.sandboxId).not.toBe(first.sandboxId);
    await mark(core, 'a', first.sandboxId);
    expect((await allocate(core, 'a', { idempotencyKey: 'two' })).lease).toEqual(second);
    expect(await allocate(core, 'a', { idempotencyKey: 'one' })).toMatchObject({
      lease: first,
      leaseOver: true,
    });
    const third = await lease(core, 'a', { idempotencyKey: 'three' });
    expect([first.sandboxId, second.sandboxId]).not.toContain(third.sandboxId);
  });

  it("no holder and no principal gets at another's lease by naming its key", async () => {
    const core = await start(3);
    const ids = new Set<string>();
    const callers = [{ holder: 'a' }, { holder: 'b' }, { holder: 'a', principal: 'others' }];
    for (const { holder, ...more } of callers) {
      ids.add((await lease(core, holder, { idempotencyKey: 'k', ...more })).sandboxId);
    }
    expect(ids.size).toBe(3);
  });

  it.each<[string, Partial<AllocateInput>]>([
    ['another lab', { lab: 'other', namePrefix: 'lab-' }],
    ['no lab', { namePrefix: 'lab-' }],
    ['another prefix', { lab: 'intro', namePrefix: 'lab-0' }],
    ['no prefix', { lab: 'intro' }],
  ])('an explicit key with %s is a mistake to be told; the lease it has stays', async (_, changed) => {
    const core = await start(2);
    const asked = { lab: 'intro', namePrefix: 'lab-', idempotencyKey: 'k' };
    const granted = await lease(core, 'a', asked);
    const again = allocate(core, 'a', { ...changed, idempotencyKey: 'k' });
    expect(await refused(again)).toBe('IDEMPOTENCY_KEY_REUSED');
    expect(await allocate(core, 'a', asked)).toEqual({ lease: granted, replayed: true, conflicts: 0 });
  });

  it('an explicit key reused for another request is told so when nothing is free, too', async () => {
    const core = await start(1);
    await lease(core, 'a', { lab: 'intro', idempotencyKey: 'k' });
    expect(await refused(allocate(core, 'a', { lab: 'x', idempotencyKey: 'k' }))).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    );
    await core.readyList.refresh();
    expect(await refused(allocate(core, 'a', { lab: 'x', idempotencyKey: 'k' }))).toBe(
      'IDEMPOTENCY_KEY_REUSED',
    );
  });

  it('the key that defaults to the holder replays, whatever lab or prefix is asked for', async () => {
    const core = await start(2);
    const granted = await lease(core, 'a', { lab: 'intro' });
    for (const more of [{}, { lab: 'other' }, { namePrefix: 'lab-' }, { namePrefix: 'none has it' }]) {
      expect(await allocate(core, 'a', more)).toEqual({ lease: granted, replayed: true, conflicts: 0 });
    }
  });
});
