import { expect, it } from 'vitest';
import { cleanUp, giveBack, stockCsp } from '../../support/broker/csp-core.ts';
import { account } from '../../support/provider/fake-csp.ts';
import type { FakeFault } from '../../support/provider/fake-csp-faults.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { NOTHING } from './cleanup-steps.ts';
import { DOWN, OUTAGE, opened, startGuarded } from './guarded-cleanup.ts';

type Started = Awaited<ReturnType<typeof startGuarded>>;

/** Cleans up every five minutes, as the loop does, until all of these are deleted; how many rounds that took. */
async function roundsUntilDeleted({ core, clock, records }: Started, isMeant = (_at: number) => true) {
  for (let round = 1; round <= 40; round++) {
    clock.advanceSeconds(300);
    await cleanUp(core);
    const left = (await records()).filter(({ status }, at) => isMeant(at) && status !== 'deleted');
    if (left.length === 0) return round;
  }
  throw new Error('not all came back');
}

const poison = ({ csp, uuids }: Started, isBad: (at: number) => boolean, fault: FakeFault = DOWN) => {
  for (const [at, uuid] of uuids.entries())
    if (isBad(at)) csp.faults.add('delete', fault, { ...OUTAGE, uuid });
};

describeOnFastEngine('a provider that is not well', ({ endpoint }) => {
  it.each<[string, FakeFault, object]>([
    ['500', DOWN, { why: 'outage' }],
    ['503', { kind: 'respond', status: 503 }, { why: 'outage' }],
    ['401', { kind: 'respond', status: 401 }, { why: 'unauthorized' }],
    ['403', { kind: 'respond', status: 403 }, { why: 'unauthorized' }],
    ['HTML', { kind: 'html' }, { why: 'outage' }],
    ['broken connections', { kind: 'lost' }, { why: 'outage' }],
  ])(
    'answers %s to all for hours: few deletes, one reason, nothing parked, all back unaided',
    async (_name, fault, why) => {
      const started = await startGuarded(endpoint, 20);
      const { core, csp, clock, transitions, deletes, parked, records } = started;
      csp.faults.add('delete', fault, OUTAGE);
      for (let round = 0; round < 12; round++) {
        await cleanUp(core);
        clock.advanceSeconds(300);
      }
      expect(opened(transitions)).toMatchObject([why]);
      expect(deletes()).toBeLessThanOrEqual(6 + 12);
      for (const one of await records())
        expect(one).toMatchObject({ cleanup: { retries: 0, dueMs: expect.any(Number) } });
      csp.faults.clear();
      expect(await roundsUntilDeleted(started)).toBeLessThanOrEqual(5);
      expect(parked).toEqual([]);
      expect(opened(transitions)).toHaveLength(1);
    },
  );

  it('is not asked in vain by a queue of few either: three rounds of 500, and five come back', async () => {
    const started = await startGuarded(endpoint, 5);
    const { core, csp, clock, transitions, parked } = started;
    csp.faults.add('delete', DOWN, OUTAGE);
    for (let round = 0; round < 3; round++) {
      await cleanUp(core);
      clock.advanceSeconds(300);
    }
    csp.faults.clear();
    expect(opened(transitions)).toMatchObject([{ why: 'outage' }]);
    expect(await roundsUntilDeleted(started)).toBeLessThanOrEqual(4);
    expect(parked).toEqual([]);
  });

  it.each([429, 403, 503])(
    'says with %d when to come again, and is asked again then, not before',
    async (status) => {
      const { core, csp, clock, breaker, transitions, deletes } = await startGuarded(endpoint, 20);
      csp.faults.add('delete', { kind: 'respond', status, headers: { 'retry-after': '30' } }, OUTAGE);
      await cleanUp(core);
      expect(deletes()).toBeLessThanOrEqual(5);
      expect(breaker.report()).toMatchObject({ state: 'open', retryAtMs: clock.nowMs() + 30_000 });
      expect(opened(transitions)).toHaveLength(1);
      csp.faults.clear();
      clock.advanceSeconds(29);
      const sent = deletes();
      expect(await cleanUp(core)).toMatchObject({ deleted: 0 });
      expect(deletes()).toBe(sent);
      clock.advanceSeconds(1);
      const { due, deleted } = await cleanUp(core);
      expect([due >= 15, deleted]).toEqual([true, due]);
    },
  );

  it('wants a new token, and says so with a single sandbox', async () => {
    const { core, csp, transitions } = await startGuarded(endpoint, 1);
    csp.faults.add('delete', { kind: 'respond', status: 401 }, OUTAGE);
    await cleanUp(core);
    expect(opened(transitions)).toMatchObject([{ why: 'unauthorized' }]);
  });
});

describeOnFastEngine('sandboxes that cannot be deleted', ({ endpoint }) => {
  it.each<[string, number, number, FakeFault]>([
    ['500', 5, 0, DOWN],
    ['500', 1, 0, DOWN],
    ['500', 5, 3, DOWN],
    ['403', 5, 0, { kind: 'respond', status: 403 }],
  ])(
    'in front, with %s, %d deletes at once, %d retries: all others go through in the first round',
    async (_name, at, retries, fault) => {
      const started = await startGuarded(endpoint, 25, { cleanupConcurrency: at, retries });
      poison(started, (place) => place < 5, fault);
      expect(await cleanUp(started.core)).toEqual({ ...NOTHING, due: 25, deleted: 20, failed: 5 });
      expect(started.transitions).toEqual([]);
      // They come last from now on.
      started.clock.advanceSeconds(3_600);
      await stockCsp(started.core, started.csp, [account()]);
      await giveBack(started.core, 1);
      expect(await cleanUp(started.core)).toMatchObject({ due: 6, deleted: 1, failed: 5 });
      const asked = started.csp.calls.filter(({ operation }) => operation === 'delete').slice(25);
      if (at === 1) expect(started.uuids.slice(0, 5)).not.toContain(asked[0]?.uuid);
      expect(started.transitions).toEqual([]);
    },
  );

  it('are parked after three times that others went through, and never while none do', async () => {
    const started = await startGuarded(endpoint, 1);
    const { core, csp, clock, parked, ids } = started;
    poison(started, () => true);
    for (let round = 0; round < 6; round++) {
      await cleanUp(core);
      clock.advanceSeconds(3_600);
    }
    expect(parked).toEqual([]);
    for (let round = 0; round < 3; round++) {
      expect(parked).toEqual([]);
      await stockCsp(core, csp, [account()]);
      await giveBack(core, 1);
      expect(await cleanUp(core)).toMatchObject({ deleted: 1, failed: 1 });
      clock.advanceSeconds(3_600);
    }
    expect(parked).toEqual(ids);
  });

  it('and are half of all raise an alert, and do not keep the other half', async () => {
    const started = await startGuarded(endpoint, 40);
    poison(started, (place) => place % 2 === 0);
    await cleanUp(started.core);
    expect(opened(started.transitions)).toMatchObject([{ why: 'half_failing' }]);
    expect(started.deletes()).toBeGreaterThanOrEqual(10);
    expect(await roundsUntilDeleted(started, (place) => place % 2 === 1)).toBeLessThanOrEqual(30);
  });
});
