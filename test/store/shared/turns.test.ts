import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import type { StoreClient } from '../../../src/store/dynamo/client.ts';
import { createTurns, type Turn, type Turns } from '../../../src/store/shared/turns.ts';
import { openTable } from '../../../src/store/table.ts';
import {
  createCountingClient,
  createFakeClock,
  type FakeClock,
  uniqueTable,
} from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import {
  conflicted,
  duplicate,
  failWith,
  injectFaults,
  loseAnswer,
  straggle,
} from '../../support/store/injected-faults.ts';

const LOOP = 'sync';
const TTL_MS = 30_000;
const signal = new AbortController().signal;

describeOnEngines('a turn', ({ endpoint }) => {
  async function start(): Promise<{ client: StoreClient; clock: FakeClock; replica: () => Turns }> {
    const { client } = createCountingClient(endpoint, uniqueTable());
    onTestFinished(() => client.close());
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
    const clock = createFakeClock();
    return { client, clock, replica: () => createTurns(client, randomUUID(), clock) };
  }

  const take = (turns: Turns, onlyIfDue = false) => turns.take(LOOP, { ttlMs: TTL_MS, onlyIfDue }, signal);

  async function taken(turns: Turns, onlyIfDue = false): Promise<Turn> {
    const { turn } = await take(turns, onlyIfDue);
    return turn ?? expect.fail('the turn was not to be had');
  }

  test('is held by one at a time, and the others are told for how long', async () => {
    const { clock, replica } = await start();
    const [one, other] = [replica(), replica()];
    await taken(one);
    clock.advanceSeconds(10);
    expect(await take(other)).toEqual({ turn: undefined, freeInMs: 20_000 });
    expect(await take(one)).toEqual({ turn: undefined, freeInMs: 20_000 });
  });

  test('is had by one of many who ask at the same moment, on the same replica, too', async () => {
    const { replica } = await start();
    const [one, other] = [replica(), replica()];
    const answers = await Promise.all([one, one, one, other, other, other].map((turns) => take(turns)));
    expect(answers.filter(({ turn }) => turn)).toHaveLength(1);
  });

  test('of another loop is another turn', async () => {
    const { replica } = await start();
    await taken(replica());
    const { turn } = await replica().take('cleanup', { ttlMs: TTL_MS, onlyIfDue: false }, signal);
    expect(turn).toMatchObject({ loop: 'cleanup', fence: 1 });
  });

  test('lapses when it is not renewed, and lasts when it is', async () => {
    const { clock, replica } = await start();
    const [one, other] = [replica(), replica()];
    const turn = await taken(one);
    clock.advanceSeconds(29);
    expect(await one.renew(turn, TTL_MS, signal)).toBe(true);
    clock.advanceSeconds(30);
    expect((await take(other)).turn).toBeUndefined();
    clock.advanceSeconds(0.001);
    expect(await taken(other)).toMatchObject({ loop: LOOP, fence: 2 });
  });

  test('has a fence that grows with every holder', async () => {
    const { clock, replica } = await start();
    const [one, other] = [replica(), replica()];
    const fences: number[] = [];
    for (const turns of [one, other, other, one]) {
      fences.push((await taken(turns)).fence);
      clock.advanceSeconds(31);
    }
    expect(fences).toEqual([1, 2, 3, 4]);
  });

  test('that was lost is neither renewed nor given up by the one who lost it', async () => {
    const { clock, replica } = await start();
    const [one, other] = [replica(), replica()];
    const lost = await taken(one);
    clock.advanceSeconds(31);
    const held = await taken(other);
    expect(await one.renew(lost, TTL_MS, signal)).toBe(false);
    await one.giveUp(lost, 0);
    expect((await take(one)).turn).toBeUndefined();
    expect(await other.renew(held, TTL_MS, signal)).toBe(true);
  });

  test('that was lost and had again by the same replica is not the old one', async () => {
    const { clock, replica } = await start();
    const one = replica();
    const old = await taken(one);
    clock.advanceSeconds(31);
    await taken(one);
    expect(await one.renew(old, TTL_MS, signal)).toBe(false);
  });

  test('that was given up is free at once', async () => {
    const { replica } = await start();
    const [one, other] = [replica(), replica()];
    await one.giveUp(await taken(one));
    expect(await taken(other)).toMatchObject({ loop: LOOP, fence: 2 });
  });

  test('is not to be had for an interval that is served, unless it is asked for regardless', async () => {
    const { clock, replica } = await start();
    const [one, other] = [replica(), replica()];
    await one.giveUp(await taken(one, true), clock.nowMs() + 60_000);
    expect((await take(other, true)).turn).toBeUndefined();
    expect((await take(one, true)).turn).toBeUndefined();
    await other.giveUp(await taken(other));
    // A run without a word on the next one leaves it as it was.
    clock.advanceSeconds(59);
    expect((await take(other, true)).turn).toBeUndefined();
    clock.advanceSeconds(1);
    await taken(other, true);
  });

  test('whose answer was lost is known as our own', async () => {
    const { client, replica } = await start();
    const faults = injectFaults(client);
    const [one, other] = [replica(), replica()];
    faults.next('UpdateItem', loseAnswer);
    const turn = await taken(one);
    expect(turn.fence).toBe(1);
    faults.next('UpdateItem', loseAnswer);
    expect(await one.renew(turn, TTL_MS, signal)).toBe(true);
    expect((await take(other)).turn).toBeUndefined();
    faults.next('UpdateItem', loseAnswer);
    await one.giveUp(turn);
    faults.next('UpdateItem', duplicate);
    expect((await taken(other)).fence).toBe(2);
    expect(faults.left).toBe(0);
  });

  test('whose answer was lost is not taken for our own when another had it meanwhile', async () => {
    const { client, clock, replica } = await start();
    const faults = injectFaults(client);
    const [one, other] = [replica(), replica()];
    faults.next('UpdateItem', async (send) => {
      await send();
      clock.advanceSeconds(31);
      await taken(other);
      throw Object.assign(new Error('cut'), { code: 'ECONNRESET' });
    });
    expect((await take(one)).turn).toBeUndefined();
  });

  test('that was taken without anybody learning of it is had again by its replica, for its whole time', async () => {
    const { client, clock, replica } = await start();
    const faults = injectFaults(client);
    const [one, other] = [replica(), replica()];
    faults.next('UpdateItem', loseAnswer, { times: 4 });
    await expect(take(one)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(faults.left).toBe(0);
    clock.advanceSeconds(10);
    expect((await take(other)).turn).toBeUndefined();
    // Two ask, as a loop and an operator may: one of them has it.
    const answers = await Promise.all([take(one), take(one)]);
    expect(answers).toMatchObject([{ turn: { loop: LOOP, fence: 1 } }, { turn: undefined }]);
    expect(await take(other)).toEqual({ turn: undefined, freeInMs: TTL_MS });
    await one.giveUp({ loop: LOOP, fence: 1, untilMs: 0 });
    expect(await taken(one)).toMatchObject({ loop: LOOP, fence: 2 });
  });

  test('that was given up stays free when a renewal arrives late', async () => {
    const { client, replica } = await start();
    const faults = injectFaults(client);
    const [one, other] = [replica(), replica()];
    const turn = await taken(one);
    const late = straggle();
    faults.next('UpdateItem', late.fault);
    expect(await one.renew(turn, TTL_MS, signal)).toBe(true);
    await one.giveUp(turn);
    expect(await late.arrive()).toBe(false);
    await taken(other);
  });

  test('that is in conflict with a transaction is an error, not a turn', async () => {
    const { client, replica } = await start();
    const faults = injectFaults(client);
    faults.next('UpdateItem', failWith(conflicted));
    await expect(take(replica())).rejects.toThrow('TransactionConflict');
    await taken(replica());
  });

  test('goes to a replica whose clock is ahead too early, and the earlier holder sees that it was lost', async () => {
    const { client, clock, replica } = await start();
    const ahead = createFakeClock(clock.nowMs() + TTL_MS + 1_000);
    const one = replica();
    const early = createTurns(client, 'ahead', ahead);
    const turn = await taken(one);
    expect((await taken(early)).fence).toBe(2);
    expect(await one.renew(turn, TTL_MS, signal)).toBe(false);
  });

  test('goes to a replica whose clock is behind only later, never while it is held', async () => {
    const { client, clock, replica } = await start();
    const behind = createFakeClock(clock.nowMs() - 20_000);
    const late = createTurns(client, 'behind', behind);
    await taken(replica());
    expect(await take(late)).toEqual({ turn: undefined, freeInMs: 50_000 });
    behind.advanceSeconds(50.001);
    await taken(late);
  });
});
