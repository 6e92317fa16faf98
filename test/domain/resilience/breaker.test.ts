import { describe, expect, test } from 'vitest';
import {
  answered,
  ask,
  type BreakerRecord,
  type BreakerRules,
  checkRules,
  closed,
  DEFAULT_BREAKER_RULES,
  failed,
  newBreaker,
  overridden,
  type Permit,
  released,
  stateAt,
  tripped as trippedBy,
  withoutPastOverride,
} from '../../../src/domain/resilience/breaker.ts';

const NOW = Date.UTC(2030, 0, 1);
const CONSECUTIVE: BreakerRules = {
  trip: { kind: 'consecutive', failures: 5 },
  recovery: { kind: 'automatic', afterMs: 60_000 },
  probeMs: 120_000,
};

/** What a call at this time would do. */
const permitOf = (record: BreakerRecord, rules: BreakerRules, nowMs: number): Permit => {
  const answer = ask(record, 'probe-1', rules, nowMs);
  if (answer.type === 'refuse') throw new Error('refused');
  return answer.permit;
};

/** The record after calls that fail at these times. */
function tripped(failures: number[], rules: BreakerRules, from = newBreaker(NOW)): BreakerRecord {
  return failures.reduce((record, atMs) => {
    const next = failed(record, permitOf(record, rules, atMs), rules, atMs);
    return next ?? record;
  }, from);
}

const openAt = (nowMs: number) => tripped(Array<number>(5).fill(nowMs), CONSECUTIVE);

/** The probe that goes when an open breaker has cooled off. */
function probing(nowMs = NOW + 60_000): BreakerRecord {
  const answer = ask(openAt(NOW), 'probe-1', CONSECUTIVE, nowMs);
  if (answer.type !== 'probe') throw new Error(answer.type);
  return answer.next;
}

describe('the library default', () => {
  test('opens with the tenth failure within five minutes, and not with the ninth', () => {
    const times = Array.from({ length: 10 }, (_, i) => NOW + i * 33_000);
    expect(tripped(times.slice(0, 9), DEFAULT_BREAKER_RULES).state).toBe('closed');
    expect(tripped(times, DEFAULT_BREAKER_RULES).state).toBe('open');
  });

  test('does not open when ten failures take longer than that', () => {
    const times = Array.from({ length: 50 }, (_, i) => NOW + i * 34_000);
    expect(tripped(times, DEFAULT_BREAKER_RULES).state).toBe('closed');
  });

  test('counts failures with one timestamp one by one', () => {
    expect(tripped(Array<number>(9).fill(NOW), DEFAULT_BREAKER_RULES)).toMatchObject({
      state: 'closed',
      failedAtMs: Array<number>(9).fill(NOW),
    });
    expect(tripped(Array<number>(10).fill(NOW), DEFAULT_BREAKER_RULES).state).toBe('open');
  });

  test('a success in between changes nothing', () => {
    const record = tripped(Array<number>(9).fill(NOW), DEFAULT_BREAKER_RULES);
    const permit = permitOf(record, DEFAULT_BREAKER_RULES, NOW);
    expect(answered(record, permit, DEFAULT_BREAKER_RULES, NOW)).toBeUndefined();
  });

  test('stays open until an operator resets it', () => {
    const open = tripped(Array<number>(10).fill(NOW), DEFAULT_BREAKER_RULES);
    expect(ask(open, 'probe-1', DEFAULT_BREAKER_RULES, NOW + 365 * 86_400_000)).toEqual({ type: 'refuse' });
    expect(ask(closed(open, NOW), 'id', DEFAULT_BREAKER_RULES, NOW).type).toBe('pass');
  });

  test('remembers no more failures than it needs', () => {
    const times = Array.from({ length: 10_000 }, (_, i) => NOW + i * 34_000);
    expect(tripped(times, DEFAULT_BREAKER_RULES)).toMatchObject({ failedAtMs: { length: 9 } });
  });
});

describe('the consecutive rule', () => {
  test('opens with the fifth failure in a row, whenever they were', () => {
    const times = [0, 1, 2, 3, 4].map((day) => NOW + day * 86_400_000);
    expect(tripped(times.slice(0, 4), CONSECUTIVE).state).toBe('closed');
    expect(tripped(times, CONSECUTIVE).state).toBe('open');
  });

  test('begins to count anew after a success', () => {
    const record = tripped(Array<number>(4).fill(NOW), CONSECUTIVE);
    const better = answered(record, permitOf(record, CONSECUTIVE, NOW), CONSECUTIVE, NOW);
    expect(better).toMatchObject({ state: 'closed', failedAtMs: [] });
    expect(tripped(Array<number>(4).fill(NOW), CONSECUTIVE, better).state).toBe('closed');
  });

  test('a success when nothing has failed changes nothing', () => {
    const record = newBreaker(NOW);
    expect(answered(record, permitOf(record, CONSECUTIVE, NOW), CONSECUTIVE, NOW)).toBeUndefined();
  });
});

describe('an open breaker', () => {
  test('refuses and says for how long, to the millisecond', () => {
    expect(ask(openAt(NOW), 'p', CONSECUTIVE, NOW)).toEqual({ type: 'refuse', retryInMs: 60_000 });
    expect(ask(openAt(NOW), 'p', CONSECUTIVE, NOW + 59_999)).toEqual({ type: 'refuse', retryInMs: 1 });
  });

  test('then lets one probe go, and no other while it is on its way', () => {
    const record = probing();
    expect(record).toMatchObject({ state: 'half_open', probeId: 'probe-1' });
    expect(ask(record, 'probe-2', CONSECUTIVE, NOW + 60_000)).toEqual({ type: 'refuse' });
  });

  test('lets another go when the probe has not come back in its time', () => {
    const record = probing();
    expect(ask(record, 'probe-2', CONSECUTIVE, NOW + 60_000 + 119_999).type).toBe('refuse');
    const answer = ask(record, 'probe-2', CONSECUTIVE, NOW + 60_000 + 120_000);
    expect(answer).toMatchObject({ type: 'probe', next: { probeId: 'probe-2' } });
  });

  test('takes no notice of calls that began before it opened', () => {
    const early: Permit = { kind: 'call', era: 0 };
    const open = openAt(NOW);
    expect(failed(open, early, CONSECUTIVE, NOW)).toBeUndefined();
    expect(answered(open, early, CONSECUTIVE, NOW)).toBeUndefined();
    expect(answered(probing(), early, CONSECUTIVE, NOW)).toBeUndefined();
    const closedAgain = closed(open, NOW);
    expect(failed(closedAgain, early, CONSECUTIVE, NOW)).toBeUndefined();
  });
});

describe('the probe', () => {
  const permit: Permit = { kind: 'probe', probeId: 'probe-1' };
  test('closes the breaker when it was answered', () => {
    expect(answered(probing(), permit, CONSECUTIVE, NOW + 61_000)).toMatchObject({
      state: 'closed',
      failedAtMs: [],
    });
  });

  test('opens it for another while when it failed', () => {
    expect(failed(probing(), permit, CONSECUTIVE, NOW + 61_000)).toMatchObject({
      state: 'open',
      retryAtMs: NOW + 121_000,
      lastFailureAtMs: NOW + 61_000,
    });
  });

  test('that was given up leaves the place to the next one', () => {
    const record = released(probing(), permit, NOW + 61_000);
    expect(ask(record ?? newBreaker(NOW), 'probe-2', CONSECUTIVE, NOW + 61_000).type).toBe('probe');
  });

  test('that comes back too late counts for nothing', () => {
    const answer = ask(probing(), 'probe-2', CONSECUTIVE, NOW + 200_000);
    const record = answer.type === 'probe' ? answer.next : newBreaker(NOW);
    expect(answered(record, permit, CONSECUTIVE, NOW + 200_000)).toBeUndefined();
    expect(failed(record, permit, CONSECUTIVE, NOW + 200_000)).toBeUndefined();
    expect(released(record, permit, NOW + 200_000)).toBeUndefined();
  });
});

describe("an operator's word", () => {
  const until = NOW + 10_000;

  test('holds a healthy breaker open until its time is over', () => {
    const record = overridden(newBreaker(NOW), 'open', until);
    expect(stateAt(record, NOW)).toBe('open');
    expect(ask(record, 'p', CONSECUTIVE, NOW)).toEqual({ type: 'refuse', retryInMs: 10_000 });
    expect(withoutPastOverride(record, until - 1)).toBeUndefined();
    expect(stateAt(record, until)).toBe('closed');
    expect(ask(record, 'p', CONSECUTIVE, until).type).toBe('pass');
    expect(withoutPastOverride(record, until)).not.toHaveProperty('override.state');
  });

  test('holds an open breaker closed, whatever fails meanwhile, and then it is open again', () => {
    const record = overridden(openAt(NOW), 'closed', until);
    expect(stateAt(record, NOW)).toBe('closed');
    const permit = permitOf(record, CONSECUTIVE, NOW);
    expect(failed(record, permit, CONSECUTIVE, NOW)).toBeUndefined();
    expect(answered(record, permit, CONSECUTIVE, NOW)).toBeUndefined();
    expect(stateAt(record, until)).toBe('open');
  });

  test('a reset ends it', () => {
    const record = closed(overridden(newBreaker(NOW), 'open', until), NOW);
    expect(stateAt(record, NOW)).toBe('closed');
  });
});

test.each<Partial<BreakerRules>>([
  { trip: { kind: 'consecutive', failures: 0 } },
  { trip: { kind: 'within', failures: 1.5, windowMs: 1 } },
  { trip: { kind: 'within', failures: 1, windowMs: 0 } },
  { recovery: { kind: 'automatic', afterMs: 0 } },
  { probeMs: 0 },
])('the rules %o cannot be meant', (bad) => {
  expect(() => checkRules({ ...CONSECUTIVE, ...bad })).toThrow(RangeError);
});

describe('a breaker that is told, half open because many fail while others go through', () => {
  const TOLD: BreakerRules = { ...CONSECUTIVE, trip: { kind: 'told', failures: 5 } };
  const PROBE = { kind: 'probe', probeId: 'probe-1' } as const;
  const atProbe = (why: 'half_failing' | 'outage') => {
    const open = trippedBy(newBreaker(NOW), { why }, TOLD, NOW) ?? newBreaker(NOW);
    const answer = ask(open, PROBE.probeId, TOLD, NOW + 60_000);
    if (answer.type !== 'probe') throw new Error(answer.type);
    return answer.next;
  };
  const between = failed(atProbe('half_failing'), PROBE, TOLD, NOW + 60_001) ?? newBreaker(NOW);

  test('lets another ask at once after one that failed', () => {
    expect(ask(between, 'probe-2', TOLD, NOW + 60_001)).toMatchObject({
      type: 'probe',
      next: { state: 'half_open', probeId: 'probe-2', sinceMs: NOW + 60_000 },
    });
  });

  test('opens again, for longer, when it is told that it is enough', () => {
    expect(trippedBy(between, { why: 'outage' }, TOLD, NOW + 60_002)).toMatchObject({
      state: 'open',
      why: 'outage',
      opens: 2,
    });
    // But not while a probe is under way.
    expect(trippedBy(atProbe('half_failing'), { why: 'outage' }, TOLD, NOW + 60_001)).toBeUndefined();
  });

  test('for any other reason opens again with the probe that failed', () => {
    expect(failed(atProbe('outage'), PROBE, TOLD, NOW + 60_001)).toMatchObject({ state: 'open', opens: 2 });
  });
});
