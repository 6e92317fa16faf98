import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addUse,
  asOf,
  hasRoom,
  type Quota,
  SLOTS_PER_WINDOW,
  secondsUntilRoom,
  slotMsOf,
  type UsageWindow,
  unusedWindow,
} from '../../../src/domain/resilience/quota.ts';

const START_MS = Date.UTC(2030, 0, 1, 9);
const MINUTE: Quota = { maxActions: 10, windowSeconds: 60 };
const SLOT_MS = slotMsOf(60);

/** Uses at these moments, none refused. */
function used(timesMs: number[], slotMs = SLOT_MS): UsageWindow {
  return timesMs.reduce((window, ms) => addUse(asOf(window, slotMs, ms), ms), unusedWindow(slotMs));
}

/** What a governor does: asks at each moment, and uses when there is room. The moments that were allowed. */
function admitted(timesMs: number[], quota: Quota): number[] {
  const slotMs = slotMsOf(quota.windowSeconds);
  let window = unusedWindow(slotMs);
  return timesMs.filter((ms) => {
    window = asOf(window, slotMs, ms);
    if (!hasRoom(window, quota)) return false;
    window = addUse(window, ms);
    return true;
  });
}

describe('a sliding window', () => {
  test('never lets more through than the quota in any stretch of its length, wherever it begins', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(
        gaps,
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 90 }),
        (steps, max, windowSeconds) => {
          let ms = START_MS;
          const times = steps.map((step) => {
            ms += step;
            return ms;
          });
          const through = admitted(times, { maxActions: max, windowSeconds });
          for (const from of through) {
            const within = through.filter((at) => at >= from && at < from + windowSeconds * 1000);
            expect(within.length).toBeLessThanOrEqual(max);
          }
        },
      ),
    );
  });

  test('has room again at the latest one slot after the window has passed', () => {
    const full = used(Array.from({ length: 10 }, () => START_MS + 123));
    const before = START_MS + 123 + 60_000 - 1;
    expect(hasRoom(asOf(full, SLOT_MS, before), MINUTE)).toBe(false);
    expect(hasRoom(asOf(full, SLOT_MS, before + SLOT_MS + 1), MINUTE)).toBe(true);
  });

  test('says how long it takes until there is room, and keeps its word', () => {
    const times = fc.array(fc.integer({ min: 0, max: 59_999 }), { minLength: 10, maxLength: 30 });
    fc.assert(
      fc.property(times, (offsets) => {
        const sorted = offsets.sort((a, b) => a - b).map((offset) => START_MS + offset);
        const nowMs = START_MS + 60_000;
        const full = asOf(used(sorted), SLOT_MS, nowMs);
        if (hasRoom(full, MINUTE)) return;
        const seconds = secondsUntilRoom(full, MINUTE, nowMs);
        expect(seconds).toBeGreaterThanOrEqual(1);
        expect(hasRoom(asOf(full, SLOT_MS, nowMs + seconds * 1000), MINUTE)).toBe(true);
        if (seconds > 2)
          expect(hasRoom(asOf(full, SLOT_MS, nowMs + (seconds - 1) * 1000), MINUTE)).toBe(false);
      }),
    );
  });

  test('is bounded: a use per millisecond for five windows leaves no more slots than a window has, and one', () => {
    let window = unusedWindow(slotMsOf(1));
    for (let ms = START_MS; ms < START_MS + 5_000; ms++) window = addUse(asOf(window, window.slotMs, ms), ms);
    expect(window.uses.length).toBeLessThanOrEqual(SLOTS_PER_WINDOW + 1);
    expect(window.total).toBeGreaterThanOrEqual(1_000);
  });

  test('a quota of nothing never has room, and says so with its whole window', () => {
    const none = { maxActions: 0, windowSeconds: 60 };
    expect(hasRoom(unusedWindow(SLOT_MS), none)).toBe(false);
    expect(secondsUntilRoom(unusedWindow(SLOT_MS), none, START_MS)).toBe(60);
  });

  test('without a limit there is always room, and the uses are counted', () => {
    const window = used([START_MS, START_MS + 1, START_MS + 2]);
    expect(hasRoom(window, { maxActions: null, windowSeconds: 60 })).toBe(true);
    expect(window.total).toBe(3);
  });

  test('a clock that is set back neither frees room nor forgets', () => {
    const window = used([START_MS, START_MS + 10_000]);
    const back = addUse(asOf(window, SLOT_MS, START_MS - 30_000), START_MS - 30_000);
    expect(back.total).toBe(3);
    expect(back.uses.map(({ slot }) => slot)).toEqual(
      [...back.uses.map(({ slot }) => slot)].sort((a, b) => a - b),
    );
  });

  test('uses that a wrong clock wrote days ahead count as of now, and are over a window later', () => {
    const ahead = used([START_MS + 5 * 86_400_000]);
    const seen = asOf(ahead, SLOT_MS, START_MS);
    expect(seen).toEqual(used([START_MS]));
    expect(asOf(seen, SLOT_MS, START_MS + 60_000 + SLOT_MS).total).toBe(0);
  });
});

describe('a window whose length changes', () => {
  test.each([1, 7, 60, 600, 3600])('keeps in %i s what falls into it', (windowSeconds) => {
    const times = [0, 10_000, 20_000, 50_000].map((offset) => START_MS + offset);
    const nowMs = START_MS + 50_000;
    const slotMs = slotMsOf(windowSeconds);
    const changed = asOf(used(times), slotMs, nowMs);
    const within = times.filter((at) => at > nowMs - windowSeconds * 1000).length;
    expect(changed.total).toBeGreaterThanOrEqual(within);
    expect(changed.slotMs).toBe(slotMs);
    expect(changed.uses.every(({ slot }) => slot <= Math.floor(nowMs / slotMs))).toBe(true);
  });

  test('lets no more through across the change than either length allows', () => {
    const full = used(Array.from({ length: 10 }, (_, index) => START_MS + index * 1_000));
    const longer = { maxActions: 10, windowSeconds: 600 };
    const changed = asOf(full, slotMsOf(600), START_MS + 30_000);
    expect(hasRoom(changed, longer)).toBe(false);
    expect(hasRoom(asOf(changed, slotMsOf(600), START_MS + 599_000), longer)).toBe(false);
  });
});
