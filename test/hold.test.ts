import { expect, onTestFinished, test } from 'vitest';
import { ClockOffError } from '../src/domain/errors.ts';
import { holdOn } from '../src/hold.ts';
import { createFakeClock, type FakeClock } from './support/broker/core.ts';
import { until } from './support/until.ts';

const REASON = new Error('it was lost');

/** Held for a minute from now on; renewals take place every 10 ms, and `renew` says what comes of them. */
async function start(renew: () => Promise<boolean>, more: { clock?: FakeClock; agoS?: number } = {}) {
  const clock = more.clock ?? createFakeClock();
  const ttlMs = 30;
  const untilMs = clock.nowMs() + 60_000 - (more.agoS ?? 0) * 1000;
  const hold = await holdOn({ clock, untilMs, ttlMs, renew, reason: REASON });
  onTestFinished(() => hold.release());
  return { clock, hold };
}
const never = () => new Promise<boolean>(() => undefined);

test('what is held is held until its time is over by the wall clock, though nothing else has moved', async () => {
  const { clock, hold } = await start(never);
  clock.advanceSeconds(59);
  hold.assertHeld();
  clock.advanceSeconds(1);
  expect(hold.lost.aborted).toBe(false);
  expect(hold.assertHeld).toThrow(REASON);
  expect(hold.lost.reason).toBe(REASON);
  // Also where the clock is put back: somebody else may have it by now.
  clock.advanceSeconds(-10);
  expect(hold.assertHeld).toThrow(REASON);
});

test('a renewal that is refused loses it, one that the store does not answer does not until its time is over', async () => {
  const refused = await start(async () => false);
  await until(() => refused.hold.lost.aborted, { what: 'it is somebody else’s' });
  let failures = 0;
  const { clock, hold } = await start(async () => {
    failures++;
    throw new Error('the store is away');
  });
  await until(() => failures > 2, { what: 'renewals failed' });
  hold.assertHeld();
  clock.advanceSeconds(60);
  await until(() => hold.lost.aborted, { what: 'the next renewal notices' });
});

test('what took long to be granted is renewed before anything is done under it', async () => {
  const kept = await start(async () => true, { agoS: 61 });
  kept.hold.assertHeld();
  const taken = await start(async () => false, { agoS: 61 });
  expect(taken.hold.assertHeld).toThrow(REASON);
});

test('while nobody can tell the time nothing is done, and nothing lost', async () => {
  const clock = createFakeClock();
  let isOff = false;
  const trusted = {
    ...clock,
    nowMs() {
      if (isOff) throw new ClockOffError();
      return clock.nowMs();
    },
  };
  const { hold } = await start(never, { clock: trusted });
  isOff = true;
  expect(hold.assertHeld).toThrow(ClockOffError);
  isOff = false;
  hold.assertHeld();
});
