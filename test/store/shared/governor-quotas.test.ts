import { expect, onTestFinished, test } from 'vitest';
import { StoreUnavailableError } from '../../../src/domain/errors.ts';
import { type Quota, SLOTS_PER_WINDOW, slotMsOf } from '../../../src/domain/resilience/quota.ts';
import { createQuotaStore } from '../../../src/store/shared/quotas.ts';
import { openTable } from '../../../src/store/table.ts';
import {
  createCountingClient,
  createFakeClock,
  type FakeClock,
  uniqueTable,
} from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { injectFaults, loseAnswer } from '../../support/store/injected-faults.ts';

const HOURLY: Quota = { maxActions: 5, windowSeconds: 3_600 };

describeOnEngines('a quota that replicas share', ({ endpoint }) => {
  async function table() {
    const name = uniqueTable();
    const clock = createFakeClock();
    const replica = (its: FakeClock = clock, more = {}) => {
      const { client, calls } = createCountingClient(endpoint, name, more);
      onTestFinished(() => client.close());
      return { client, calls, clock: its, quotas: createQuotaStore(client, its) };
    };
    const first = replica();
    await openTable(first.client, { buckets: 4, create: true }, AbortSignal.timeout(60_000));
    first.calls.clear();
    return { ...first, replica };
  }
  type Replica = Awaited<ReturnType<typeof table>>;
  const takes = async ({ quotas }: Pick<Replica, 'quotas'>, times: number, quota = HOURLY) => {
    const results: boolean[] = [];
    for (let n = 0; n < times; n++) results.push((await quotas.take('csp_delete', quota)).taken);
    return results.filter((taken) => taken).length;
  };

  test('lets as many through as it says, and no more until the window has passed', async () => {
    const one = await table();
    expect(await takes(one, 8)).toBe(5);
    one.clock.advanceSeconds(3_599);
    expect(await takes(one, 1)).toBe(0);
    one.clock.advanceSeconds(1 + slotMsOf(3_600) / 1000);
    expect(await takes(one, 8)).toBe(5);
  });

  test('never lets through more, however many replicas ask at once, at the beginning of a slot, too', async () => {
    const one = await table();
    const replicas = [one, one.replica(), one.replica(), one.replica()];
    for (let round = 0; round < 3; round++) {
      const asked = replicas.flatMap(({ quotas }) =>
        Array.from({ length: 6 }, () => quotas.take('csp_delete', { maxActions: 7, windowSeconds: 60 })),
      );
      const taken = (await Promise.all(asked)).filter((each) => each.taken);
      expect(taken.length).toBe(round === 1 ? 0 : 7);
      // The second round is in the next slot of the same window, the third in another window.
      one.clock.advanceSeconds(round === 0 ? 2 : 70);
    }
  });

  test('slides: what was used early is free early', async () => {
    const one = await table();
    const quota = { maxActions: 4, windowSeconds: 50 };
    expect(await takes(one, 2, quota)).toBe(2);
    one.clock.advanceSeconds(30);
    expect(await takes(one, 3, quota)).toBe(2);
    one.clock.advanceSeconds(21);
    expect(await takes(one, 4, quota), 'the first two are over').toBe(2);
    one.clock.advanceSeconds(30);
    expect(await takes(one, 4, quota), 'the next two are over').toBe(2);
  });

  test('does not count a refusal', async () => {
    const one = await table();
    await takes(one, 50);
    const { windows } = await one.quotas.read();
    expect(windows.get('csp_delete')?.total).toBe(5);
  });

  test('costs one write for a use, one more at the beginning of a slot, one for a refusal', async () => {
    const one = await table();
    await takes(one, 1);
    one.calls.clear();
    await takes(one, 4);
    expect([one.calls.count('UpdateItem'), one.calls.count()]).toEqual([4, 4]);
    await takes(one, 1);
    expect(one.calls.count()).toBe(5);
    one.clock.advanceSeconds(7_200);
    one.calls.clear();
    await takes(one, 1);
    expect([one.calls.count('UpdateItem'), one.calls.count('PutItem')]).toEqual([1, 1]);
  });

  test('takes uses of the same moment with one write, and of too many as many as there is room for', async () => {
    const one = await table();
    const quota = { maxActions: 12, windowSeconds: 3_600 };
    const together = async (uses: number) => {
      const taken = await Promise.all(
        Array.from({ length: uses }, () => one.quotas.take('csp_delete', quota)),
      );
      return taken.filter((each) => each.taken).length;
    };
    await takes(one, 1, quota);
    one.calls.clear();
    expect(await together(8)).toBe(8);
    // The first alone, the others together.
    expect(one.calls.count()).toBe(2);
    expect(await together(8)).toBe(3);
    expect((await one.quotas.read()).windows.get('csp_delete')?.total).toBe(12);
  });

  test('keeps one item that does not grow, and that TTL takes after the window', async () => {
    const one = await table();
    const quota = { maxActions: null, windowSeconds: 50 };
    for (let n = 0; n < 130; n++) {
      await one.quotas.take('csp_delete', quota);
      one.clock.advanceSeconds(1);
    }
    const item = await one.client.get({ pk: 'GOV', sk: 'use#csp_delete' });
    expect(Object.keys(item?.use_by_slot).length).toBeLessThanOrEqual(SLOTS_PER_WINDOW + 1);
    expect(JSON.stringify(item).length).toBeLessThan(1_024);
    expect(item?.ttl).toBeGreaterThan(one.clock.nowMs() / 1000 + 50);
    expect(item?.ttl).toBeLessThan(one.clock.nowMs() / 1000 + 50 + 7_200);
  });

  test('a lower limit holds at once and a higher one gives room, with the history kept', async () => {
    const one = await table();
    expect(await takes(one, 4)).toBe(4);
    expect(await takes(one, 1, { ...HOURLY, maxActions: 3 })).toBe(0);
    expect(await takes(one, 9, { ...HOURLY, maxActions: 6 })).toBe(2);
    expect(await takes(one, 1, { ...HOURLY, maxActions: null }), 'unlimited').toBe(1);
    expect(await takes(one, 1), 'and what was used meanwhile counts').toBe(0);
  });

  test('a longer window keeps what was used, a shorter one what is young enough', async () => {
    const one = await table();
    expect(await takes(one, 4)).toBe(4);
    one.clock.advanceSeconds(100);
    expect(await takes(one, 9, { maxActions: 5, windowSeconds: 7_200 })).toBe(1);
    one.clock.advanceSeconds(200);
    expect(await takes(one, 9, { maxActions: 5, windowSeconds: 10 }), 'they are older than that').toBe(5);
  });

  test('a replica whose clock is behind neither gets more nor forgets', async () => {
    const one = await table();
    const behind = one.replica(createFakeClock(one.clock.nowMs() - 1_000_000));
    expect(await takes(one, 3)).toBe(3);
    expect(await takes(behind, 9)).toBe(2);
    expect(await takes(one, 9)).toBe(0);
  });

  test('a replica whose clock was days ahead blocks the others for no longer than a window', async () => {
    const one = await table();
    const ahead = one.replica(createFakeClock(one.clock.nowMs() + 3 * 86_400_000));
    expect(await takes(ahead, 9)).toBe(5);
    expect(await takes(one, 9)).toBe(0);
    expect(await takes(one, 1, { ...HOURLY, maxActions: 6 })).toBe(1);
    one.clock.advanceSeconds(3_700);
    expect(await takes(one, 9)).toBe(5);
  });

  test('an answer that was lost may count twice, never let more through', async () => {
    const one = await table();
    const faults = injectFaults(one.client);
    await takes(one, 1);
    faults.next('UpdateItem', loseAnswer, { times: 2 });
    expect(await takes(one, 9)).toBe(2);
  });

  test('without a store there is no use', async () => {
    const one = await table();
    const { client } = createCountingClient('http://127.0.0.1:9', 'nowhere', { totalTimeoutMs: 300 });
    onTestFinished(() => client.close());
    const nowhere = createQuotaStore(client, one.clock);
    await expect(nowhere.take('csp_delete', HOURLY)).rejects.toThrow(StoreUnavailableError);
  });

  test('a limit set on one replica is read on the others, the last word counts, and it can be taken back', async () => {
    const one = await table();
    const other = one.replica(createFakeClock(one.clock.nowMs() - 60_000));
    expect((await other.quotas.read()).limits.size).toBe(0);
    await one.quotas.setLimit('csp_delete', { maxActions: 7, windowSeconds: 60 });
    await one.quotas.setLimit('allocate', { maxActions: null, windowSeconds: 60 });
    expect([...(await other.quotas.read()).limits]).toEqual(
      expect.arrayContaining([
        ['csp_delete', { maxActions: 7, windowSeconds: 60 }],
        ['allocate', { maxActions: null, windowSeconds: 60 }],
      ]),
    );
    await other.quotas.setLimit('csp_delete', { maxActions: 9, windowSeconds: 60 });
    expect((await one.quotas.read()).limits.get('csp_delete')?.maxActions).toBe(9);
    await one.quotas.clearLimit('csp_delete');
    await one.quotas.clearLimit('csp_delete');
    expect((await other.quotas.read()).limits.has('csp_delete')).toBe(false);
  });
});
