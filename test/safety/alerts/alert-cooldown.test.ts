import { describe, expect, test } from 'vitest';
import { createCooldown } from '../../../src/safety/alerts/cooldown.ts';
import { alertOf } from '../../support/broker/alerts.ts';

const COOLDOWN_MS = 300_000;

function setUp() {
  let nowMs = 5_000;
  const cooldown = createCooldown(COOLDOWN_MS, () => nowMs);
  return {
    cooldown,
    advance: (ms: number) => {
      nowMs += ms;
    },
    /** Asks, and lets the notification arrive at once. */
    notify: (alert = alertOf()) => {
      const verdict = cooldown.ask(alert);
      const told = cooldown.swallowed(alert);
      if (verdict === 'notify') cooldown.sent(alert, told);
      return { verdict, told };
    },
  };
}

describe('the cooldown', () => {
  test('swallows the same task and reason for 300 s, and the next one tells how many', () => {
    const { notify, advance } = setUp();
    expect(notify()).toEqual({ verdict: 'notify', told: 0 });
    for (let n = 0; n < 5; n++) expect(notify().verdict).toBe('swallowed');
    advance(COOLDOWN_MS - 1);
    expect(notify().verdict).toBe('swallowed');
    advance(1);
    expect(notify()).toEqual({ verdict: 'notify', told: 6 });
    advance(COOLDOWN_MS);
    expect(notify()).toEqual({ verdict: 'notify', told: 0 });
  });

  test('swallows nothing else: neither another reason of the task, nor the reason of another task', () => {
    const { notify } = setUp();
    notify();
    expect(notify(alertOf({ reason: 'shrink_guard' })).verdict).toBe('notify');
    expect(notify(alertOf({ task: 'cleanup' })).verdict).toBe('notify');
    // Names that look the same when they are put together are not.
    expect(notify(alertOf({ task: 'a:b', reason: 'c' })).verdict).toBe('notify');
    expect(notify(alertOf({ task: 'a', reason: 'b:c' })).verdict).toBe('notify');
  });

  test('keeps one that is still waiting to be sent from being sent twice, however long it waits', () => {
    const { cooldown, advance } = setUp();
    expect(cooldown.ask(alertOf())).toBe('notify');
    advance(10 * COOLDOWN_MS);
    expect(cooldown.ask(alertOf())).toBe('swallowed');
    expect(cooldown.swallowed(alertOf())).toBe(1);
  });

  test('counts what is swallowed while a notification is on its way for the one after', () => {
    const { cooldown, advance, notify } = setUp();
    cooldown.ask(alertOf());
    cooldown.ask(alertOf());
    const told = cooldown.swallowed(alertOf());
    cooldown.ask(alertOf());
    cooldown.sent(alertOf(), told);
    advance(COOLDOWN_MS);
    expect(notify()).toEqual({ verdict: 'notify', told: 1 });
  });

  test('is short after one that did not arrive, and the next tells of it', () => {
    const { cooldown, advance, notify } = setUp();
    cooldown.ask(alertOf());
    cooldown.ask(alertOf());
    cooldown.lost(alertOf());
    expect(notify().verdict).toBe('swallowed');
    advance(15_000);
    expect(notify()).toEqual({ verdict: 'notify', told: 3 });
  });

  test('of 0 swallows nothing that was sent', () => {
    const cooldown = createCooldown(0, () => 1);
    for (let n = 0; n < 3; n++) {
      expect(cooldown.ask(alertOf())).toBe('notify');
      cooldown.sent(alertOf(), 0);
    }
  });

  test('remembers a thousand kinds, and forgets the longest silent one for another', () => {
    const { notify } = setUp();
    for (let n = 0; n < 1_001; n++) notify(alertOf({ reason: `reason-${n}` }));
    expect(notify(alertOf({ reason: 'reason-1' })).verdict).toBe('swallowed');
    expect(notify(alertOf({ reason: 'reason-1000' })).verdict).toBe('swallowed');
    expect(notify(alertOf({ reason: 'reason-0' })).verdict).toBe('notify');
  });

  test('refuses a time that is none', () => {
    expect(() => createCooldown(Number.NaN)).toThrow(RangeError);
    expect(() => createCooldown(-1)).toThrow(RangeError);
  });
});
