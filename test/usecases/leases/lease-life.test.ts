import { expect, it } from 'vitest';
import { context, HOUR_SECONDS, TERMS } from '../../support/broker/core.ts';
import {
  allocate,
  cleanUp,
  coreOfTest,
  expire,
  historyOf,
  lease,
  mark,
  recordOf,
  refusal,
  refused,
  startCspCore,
  stockCsp,
} from '../../support/broker/csp-core.ts';
import { account } from '../../support/provider/fake-csp.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

const BUFFER_END_SECONDS = TERMS.leaseSeconds + TERMS.bufferSeconds;

describeOnEngines("a lease's life", ({ endpoint }) => {
  const start = (poolSize: number) => coreOfTest(endpoint, { poolSize });

  it('lasts four hours from the second it was granted in', async () => {
    const core = await start(1);
    const nowSeconds = Math.floor(core.clock.nowMs() / 1000);
    const granted = await lease(core, 'a', { lab: 'intro' });
    expect(granted).toEqual({
      sandboxId: 'sim-0001',
      name: 'lab-0001',
      externalId: 'simulated/sandboxes/0001',
      leaseId: expect.any(String),
      fencingToken: expect.any(Number),
      allocatedAt: nowSeconds,
      expiresAt: nowSeconds + 4 * HOUR_SECONDS,
    });
    const record = await core.useCases.getSandbox({ sandboxId: 'sim-0001', holder: 'a' }, context());
    expect(record).toMatchObject({
      status: 'allocated',
      lease: { holder: 'a', lab: 'intro', reclaimAt: granted.expiresAt + TERMS.bufferSeconds },
    });
  });

  it("carries the customer's account from CSP to the holder, in the replay, too", async () => {
    const { core, csp } = await startCspCore(endpoint);
    await stockCsp(core, csp, [account({ sfdc_account_id: 'SF-1' })]);
    expect((await lease(core, 'a')).sfdcAccountId).toBe('SF-1');
    expect((await allocate(core, 'a')).lease.sfdcAccountId).toBe('SF-1');
  });

  it('replays the same sandbox and the same times until the end of the buffer, and not a second longer', async () => {
    const core = await start(2);
    const granted = await lease(core, 'a');
    for (const seconds of [1, TERMS.leaseSeconds - 1, TERMS.bufferSeconds - 1]) {
      core.clock.advanceSeconds(seconds);
      expect(await allocate(core, 'a')).toEqual({ lease: granted, replayed: true, conflicts: 0 });
    }
    core.clock.advanceSeconds(1);
    expect((await lease(core, 'a')).sandboxId).not.toBe(granted.sandboxId);
  });

  it('replays from every replica, and when nothing is free any more', async () => {
    const core = await start(1);
    const other = await core.replica();
    const granted = await lease(core, 'a');
    expect(await allocate(other, 'a')).toEqual({ lease: granted, replayed: true, conflicts: 0 });
    await core.readyList.refresh();
    expect(await allocate(core, 'a')).toEqual({ lease: granted, replayed: true, conflicts: 0 });
    other.close();
  });

  it('is taken back by the expiry when its buffer is over, not before', async () => {
    const core = await start(1);
    const { sandboxId } = await lease(core, 'a');
    core.clock.advanceSeconds(BUFFER_END_SECONDS - 1);
    expect(await expire(core)).toEqual({ overdue: 0, marked: 0, skipped: 0 });
    expect((await recordOf(core, sandboxId)).status).toBe('allocated');
    core.clock.advanceSeconds(1);
    expect(await expire(core)).toEqual({ overdue: 1, marked: 1, skipped: 0 });
    expect(await recordOf(core, sandboxId)).toMatchObject({
      status: 'pending_deletion',
      cleanup: { requestedAt: core.clock.nowMs() / 1000, dueMs: core.clock.nowMs() },
    });
    expect(await expire(core)).toEqual({ overdue: 0, marked: 0, skipped: 0 });
    expect(await cleanUp(core)).toMatchObject({ recycled: 1 });
  });

  it('may be given back during the buffer', async () => {
    const core = await start(1);
    const { sandboxId, expiresAt } = await lease(core, 'a');
    core.clock.advanceSeconds(BUFFER_END_SECONDS - 1);
    expect(await mark(core, 'a', sandboxId)).toEqual({
      sandboxId,
      status: 'pending_deletion',
      deletionRequestedAt: expiresAt + TERMS.bufferSeconds - 1,
      repeated: false,
    });
    core.clock.advanceSeconds(1);
    expect(await expire(core)).toMatchObject({ overdue: 0 });
  });

  it('marks repeat: while it is due, failed, parked, gone; the first time counts', async () => {
    const { core, csp } = await startCspCore(endpoint, { deletionMaxAttempts: 1 });
    await stockCsp(core, csp, [account()]);
    const { sandboxId } = await lease(core, 'a');
    const { deletionRequestedAt } = await mark(core, 'a', sandboxId);
    const again = async () => {
      core.clock.advanceSeconds(60);
      return mark(core, 'a', sandboxId);
    };
    const repeated = { sandboxId, deletionRequestedAt, repeated: true };
    expect(await again()).toEqual({ ...repeated, status: 'pending_deletion' });
    csp.faults.add('delete', { kind: 'respond', status: 500 });
    expect(await cleanUp(core)).toMatchObject({ failed: 1 });
    expect(await again()).toEqual({ ...repeated, status: 'deletion_failed' });
    await core.useCases.retryDeletion(sandboxId, context('admin'));
    expect(await again()).toEqual({ ...repeated, status: 'pending_deletion' });
    expect(await cleanUp(core)).toMatchObject({ deleted: 1 });
    expect(await again()).toEqual({ ...repeated, status: 'deleted' });
  });

  it('a mark repeats when the sandbox is recycled already, until its next lease', async () => {
    const core = await start(1);
    const { sandboxId } = await lease(core, 'a');
    const { deletionRequestedAt } = await mark(core, 'a', sandboxId);
    core.clock.advanceSeconds(60);
    await cleanUp(core);
    const repeated = { sandboxId, status: 'available', deletionRequestedAt, repeated: true };
    expect(await mark(core, 'a', sandboxId)).toEqual(repeated);
    expect(await refused(mark(core, 'b', sandboxId))).toBe('NOT_SANDBOX_OWNER');
    await lease(core, 'b');
    expect(await refused(mark(core, 'a', sandboxId))).toBe('NOT_SANDBOX_OWNER');
    expect((await recordOf(core, sandboxId)).status).toBe('allocated');
  });

  it("is nobody's but its holder's: others neither give it back nor see it, and are not told whose it is", async () => {
    const { core, csp } = await startCspCore(endpoint);
    await stockCsp(core, csp, [account()]);
    const sandboxId = [...csp.accounts.values()].map((one) => String(one.csp_id)).join();
    const tries = async () => {
      for (const call of [
        () => mark(core, 'stranger', sandboxId),
        () => core.useCases.getSandbox({ sandboxId, holder: 'stranger' }, context()),
      ]) {
        const { code, message, details } = await refusal(call());
        expect({ code, details }).toEqual({ code: 'NOT_SANDBOX_OWNER', details: undefined });
        expect(message).not.toContain('the-holder');
      }
    };
    await tries();
    await lease(core, 'the-holder');
    await tries();
    await mark(core, 'the-holder', sandboxId);
    await tries();
    await cleanUp(core);
    await tries();
    expect((await recordOf(core, sandboxId)).status).toBe('deleted');
  });

  it('what there is not cannot be given back, seen or operated', async () => {
    const core = await start(1);
    const codes = await Promise.all(
      [
        mark(core, 'a', 'none'),
        core.useCases.getSandbox({ sandboxId: 'none', holder: 'a' }, context()),
        core.useCases.inspectSandbox('none', context('admin')),
        core.useCases.releaseSandbox('none', context('admin')),
        core.useCases.retryDeletion('none', context('admin')),
      ].map(refused),
    );
    expect(new Set(codes)).toEqual(new Set(['SANDBOX_NOT_FOUND']));
  });

  it('leaves a history: who did what, when, from where to where, for which lease and under which id', async () => {
    const { core, csp } = await startCspCore(endpoint, { deletionMaxAttempts: 1 });
    const stockedAtMs = core.clock.nowMs();
    const [one] = await stockCsp(core, csp, [account()]);
    const sandboxId = String(one?.csp_id);
    const by = (actor: string, number: number) => ({
      ...context(actor),
      requestId: `request-${number}`,
      correlationId: `correlation-${number}`,
    });

    await core.useCases.allocateSandbox({ principal: 'tracks', holder: 'a' }, by('track', 2));
    core.clock.advanceSeconds(BUFFER_END_SECONDS);
    await core.work.expire(by('auto_expiry', 3));
    core.clock.advanceSeconds(10);
    csp.faults.add('delete', { kind: 'respond', status: 422 });
    await core.work.cleanup(by('background_cleanup', 4));
    core.clock.advanceSeconds(10);
    await core.useCases.retryDeletion(sandboxId, by('admin', 5));
    core.clock.advanceSeconds(10);
    await core.work.cleanup(by('background_cleanup', 6));

    const history = await historyOf(core, sandboxId);
    const leasedAtMs = stockedAtMs + 60_000;
    const overMs = leasedAtMs + BUFFER_END_SECONDS * 1000;
    expect(
      history.map(({ actor, action, from, to, atMs, detail }) => [actor, action, from, to, atMs, detail]),
    ).toEqual([
      ['background_sync', 'sync_created', undefined, 'available', stockedAtMs, undefined],
      ['track', 'allocate', 'available', 'allocated', leasedAtMs, undefined],
      ['auto_expiry', 'expire', 'allocated', 'pending_deletion', overMs, undefined],
      [
        'background_cleanup',
        'cleanup_failed',
        'pending_deletion',
        'deletion_failed',
        overMs + 10_000,
        'rejected',
      ],
      ['admin', 'retry_deletion', 'deletion_failed', 'pending_deletion', overMs + 20_000, undefined],
      ['background_cleanup', 'cleanup_deleted', 'pending_deletion', 'deleted', overMs + 30_000, 'destroyed'],
    ]);
    const generations = history.map((event) => event.generation);
    expect(generations).toEqual([...new Set(generations)].sort((a, b) => a - b));
    const record = await recordOf(core, sandboxId);
    expect(record.generation).toBe(generations.at(-1));
    const [, ...sinceLeased] = history;
    expect(sinceLeased.map((event) => [event.requestId, event.correlationId])).toEqual(
      [2, 3, 4, 5, 6].map((number) => [`request-${number}`, `correlation-${number}`]),
    );
    for (const { holder, leaseId } of sinceLeased)
      expect(record).toMatchObject({ lease: { holder, leaseId } });
  });

  it('two lives of one sandbox stand in its history, each with its own holder', async () => {
    const core = await start(1);
    for (const holder of ['a', 'b']) {
      await mark(core, holder, (await lease(core, holder)).sandboxId);
      await cleanUp(core);
    }
    const history = await historyOf(core, 'sim-0001');
    expect(history.map(({ action, holder }) => [action, holder])).toEqual([
      ['sync_created', undefined],
      ['allocate', 'a'],
      ['mark_for_deletion', 'a'],
      ['cleanup_recycled', 'a'],
      ['allocate', 'b'],
      ['mark_for_deletion', 'b'],
      ['cleanup_recycled', 'b'],
    ]);
  });
});
