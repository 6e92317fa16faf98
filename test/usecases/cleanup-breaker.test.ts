import { expect, it } from 'vitest';
import { createBreaker } from '../../src/safety/breaker.ts';
import { createGuardedProvider } from '../../src/safety/guarded-provider.ts';
import { createRetry } from '../../src/safety/retry.ts';
import { createFakeClock } from '../support/core.ts';
import {
  cleanUp,
  coreOfTest,
  giveBack,
  historyOf,
  recordOf,
  someAccounts,
  stockCsp,
} from '../support/csp-core.ts';
import { setUp } from '../support/csp-provider.ts';
import { describeOnEngines } from '../support/engines.ts';
import type { FakeFault } from '../support/fake-csp-faults.ts';
import { until } from '../support/until.ts';

const NOTHING = { due: 0, deleted: 0, recycled: 0, failed: 0, parked: 0, skipped: 0 };
const DOWN: FakeFault = { kind: 'respond', status: 503 };
const OUTAGE = { times: Number.POSITIVE_INFINITY };

describeOnEngines('cleaning up behind a circuit breaker', ({ endpoint }) => {
  /** So many sandboxes that were given back, at a CSP whose deletes go through a breaker. */
  async function start(count: number, cleanupConcurrency = 5) {
    const { csp, provider } = await setUp();
    const clock = createFakeClock();
    const breaker = createBreaker({
      name: 'csp_delete',
      clock,
      rules: {
        trip: { kind: 'consecutive', failures: 5 },
        recovery: { kind: 'automatic', afterMs: 60_000 },
      },
    });
    const parked: string[] = [];
    const core = await coreOfTest(endpoint, {
      clock,
      provider: createGuardedProvider({
        provider,
        retry: createRetry({ policy: { retries: 0 } }),
        listBreaker: createBreaker({ name: 'csp_list', clock }),
        deleteBreaker: breaker,
      }),
      cleanupConcurrency,
      deleteBreaker: breaker,
      onParked: (sandboxId) => parked.push(sandboxId),
    });
    await stockCsp(core, csp, someAccounts(count));
    const used = await giveBack(core, count);
    const ids = used.map(({ sandboxId }) => sandboxId);
    const records = async () => await Promise.all(ids.map((id) => recordOf(core, id)));
    const deletes = () => csp.calls.filter(({ operation }) => operation === 'delete').length;
    return { core, csp, clock, breaker, ids, records, deletes, parked };
  }

  it('ends when the breaker opens, and leaves the rest of the queue untouched', async () => {
    const { core, csp, records, deletes } = await start(20, 1);
    csp.faults.add('delete', DOWN, OUTAGE);
    const before = await records();
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 20, failed: 5, skipped: 15 });
    expect(deletes()).toBe(5);
    const untouched = (await records()).filter(({ status }) => status === 'pending_deletion');
    expect(untouched).toHaveLength(15);
    expect(before).toEqual(expect.arrayContaining(untouched));
  });

  it('with several at once has no more failures than were under way', async () => {
    const { core, csp, clock, records, deletes } = await start(20);
    csp.faults.add('delete', DOWN, OUTAGE);
    const dueMs = clock.nowMs();
    const { failed, skipped } = await cleanUp(core);
    expect(failed).toBe(deletes());
    expect(failed).toBeLessThan(5 + 5);
    const left = (await records()).filter(({ status }) => status === 'pending_deletion');
    expect([left.length, failed + skipped]).toEqual([skipped, 20]);
    for (const one of left) expect(one).toMatchObject({ cleanup: { attempts: 0, retries: 0, dueMs } });
  });

  it('does not even claim while the breaker is open', async () => {
    const { core, breaker, records, deletes } = await start(3);
    await breaker.override('open', 3_600_000);
    const before = await records();
    expect(await cleanUp(core)).toEqual({ ...NOTHING, due: 3, skipped: 3 });
    expect(await records()).toEqual(before);
    expect(deletes()).toBe(0);
  });

  it('gives a claim back, with no retry counted, when the breaker opens between the look and the call', async () => {
    const { core, clock, breaker, ids, deletes } = await start(1);
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
    const { core, csp, clock, breaker, deletes } = await start(20);
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

  it('costs one sandbox a retry for each probe that fails', async () => {
    const { core, csp, clock, deletes } = await start(20);
    csp.faults.add('delete', DOWN, OUTAGE);
    await cleanUp(core);
    const sent = deletes();
    clock.advanceSeconds(60);
    expect(await cleanUp(core)).toMatchObject({ failed: 1 });
    expect(deletes()).toBe(sent + 1);
  });

  it('comes to the end of the queue after the outage, with nothing parked', async () => {
    const { core, csp, clock, records, parked } = await start(20);
    csp.faults.add('delete', DOWN, { times: 7 });
    await until(
      async () => {
        await cleanUp(core);
        clock.advanceSeconds(300);
        return (await records()).every(({ status }) => status === 'deleted');
      },
      { what: 'all deleted' },
    );
    for (const { effective } of csp.deletes.values()) expect(effective).toBe(1);
    expect(parked).toEqual([]);
  });

  it('tells which sandboxes are parked', async () => {
    const { core, csp, clock, breaker, ids, parked } = await start(1);
    csp.faults.add('delete', { kind: 'respond', status: 403 }, OUTAGE);
    for (let i = 0; i < 3; i++) {
      await cleanUp(core);
      clock.advanceSeconds(3_600);
    }
    expect(parked).toEqual(ids);
    expect(breaker.state()).toBe('closed');
  });
});
