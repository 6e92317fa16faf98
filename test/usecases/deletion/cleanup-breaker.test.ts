import { expect, it } from 'vitest';
import { cleanUp, historyOf, recordOf } from '../../support/broker/csp-core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { NOTHING } from './cleanup-steps.ts';
import { DOWN, OUTAGE, startGuarded } from './guarded-cleanup.ts';

describeOnFastEngine('cleaning up behind a circuit breaker', ({ endpoint }) => {
  it('ends when nothing goes through, and leaves the rest of the queue untouched', async () => {
    const { core, csp, breaker, records, deletes } = await startGuarded(endpoint, 20, {
      cleanupConcurrency: 1,
    });
    csp.faults.add('delete', DOWN, OUTAGE);
    const before = await records();
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 20, failed: 5, skipped: 15 });
    expect(deletes()).toBe(5);
    expect(breaker.report()).toMatchObject({ state: 'open', why: 'outage' });
    const untouched = (await records()).filter(({ generation }, at) => generation === before[at]?.generation);
    expect(untouched).toHaveLength(15);
  });

  it('with several at once asks for one more before it believes it', async () => {
    const { core, csp, records, deletes } = await startGuarded(endpoint, 20);
    csp.faults.add('delete', DOWN, OUTAGE);
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 20, failed: 6, skipped: 14 });
    expect(deletes()).toBe(6);
    for (const one of await records()) expect(one).toMatchObject({ cleanup: { retries: 0 } });
  });

  it('does not even claim while the breaker is open', async () => {
    const { core, breaker, records, deletes } = await startGuarded(endpoint, 3);
    await breaker.override('open', 3_600_000);
    const before = await records();
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 3, skipped: 3 });
    expect(await records()).toEqual(before);
    expect(deletes()).toBe(0);
  });

  it('gives a claim back, with no retry counted, when the breaker opens between the look and the call', async () => {
    const { core, clock, breaker, ids, deletes } = await startGuarded(endpoint, 1);
    const [id = ''] = ids;
    const dueMs = clock.nowMs();
    // Its look finds the breaker closed, the call finds it open.
    const late = await core.replica({
      deleteBreaker: { ...breaker, state: () => 'closed', blockedForMs: () => 0 },
    });
    await breaker.override('open', 3_600_000);
    expect(await cleanUp(late)).toEqual({ ...NOTHING, due: 1, skipped: 1 });
    expect(deletes()).toBe(0);
    expect(await recordOf(core, id)).toMatchObject({
      status: 'pending_deletion',
      cleanup: { attempts: 0, retries: 0, dueMs },
    });
    expect((await historyOf(core, id)).at(-1)).toMatchObject({
      action: 'cleanup_postponed',
      detail: 'breaker_open',
    });
    await breaker.reset();
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 1, deleted: 1 });
    late.close();
  });

  it('after an outage probes with one sandbox, and goes on with all when that is answered', async () => {
    const { core, csp, clock, breaker, deletes } = await startGuarded(endpoint, 20);
    csp.faults.add('delete', DOWN, OUTAGE);
    await cleanUp(core);
    const sent = deletes();
    csp.faults.clear();
    clock.advanceSeconds(60);
    const { promise: answer, resolve: release } = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: answer });
    const cleaning = cleanUp(core);
    await csp.arrived('delete', sent + 1);
    expect(breaker.state()).toBe('half_open');
    expect(deletes()).toBe(sent + 1);
    release();
    const { due, deleted } = await cleaning;
    expect(breaker.state()).toBe('closed');
    expect([deleted, deleted >= 20 - sent]).toEqual([due, true]);
  });

  it('probes with one for each rest, twice as late each time, and never for ever', async () => {
    const { core, csp, clock, breaker, deletes } = await startGuarded(endpoint, 20);
    csp.faults.add('delete', DOWN, OUTAGE);
    await cleanUp(core);
    let sent = deletes();
    for (const restSeconds of [60, 120, 240, 480, 600, 600]) {
      expect(breaker.report().retryAtMs).toBe(clock.nowMs() + restSeconds * 1000);
      clock.advanceSeconds(restSeconds - 1);
      expect(await cleanUp(core)).toMatchObject({ failed: 0 });
      clock.advanceSeconds(1);
      expect(await cleanUp(core)).toMatchObject({ failed: 1 });
      expect(deletes()).toBe(++sent);
    }
  });

  it('waits for an operator where it is told to, unless the provider has said when to come again', async () => {
    const { core, csp, clock, breaker, deletes } = await startGuarded(endpoint, 7, {
      recovery: { kind: 'manual' },
    });
    csp.faults.add('delete', { kind: 'respond', status: 429, headers: { 'retry-after': '30' } });
    await cleanUp(core);
    clock.advanceSeconds(30);
    csp.faults.add('delete', DOWN, { times: 1 });
    await cleanUp(core);
    expect(breaker.report()).toMatchObject({ state: 'open' });
    clock.advanceSeconds(86_400);
    const sent = deletes();
    expect(await cleanUp(core)).toMatchObject({ deleted: 0 });
    expect(deletes()).toBe(sent);
    await breaker.reset();
    const { due, deleted } = await cleanUp(core);
    expect([due > 0, deleted]).toEqual([true, due]);
  });
});
