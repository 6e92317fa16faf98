import { assertNever } from '../errors.ts';

/*
 * A circuit breaker as pure functions over one record, so that replicas can share it by writing it conditionally.
 *
 *   closed ──failures reach the threshold──▶ open ──cooled off, one call asks──▶ half_open
 *     ▲                                       ▲                                    │  │
 *     └────────────── the probe was answered ─┼────────────────────────────────────┘  │
 *                                             └──────────── the probe failed ─────────┘
 *
 * Times are epoch milliseconds.
 */

export const BREAKER_STATES = ['closed', 'open', 'half_open'] as const;
export type BreakerState = (typeof BREAKER_STATES)[number];

/** Why calls are suspended. `half_failing`: many of them fail, while others go through. */
export const TRIP_REASONS = ['outage', 'rate_limited', 'unauthorized', 'half_failing'] as const;
export type TripReason = (typeof TRIP_REASONS)[number];

/** `retryAfterMs`: the far side's own word on when to come again; it wins over the rules. */
export interface Trip {
  why: TripReason;
  retryAfterMs?: number | undefined;
}

export interface BreakerRules {
  /**
   * `within`: so many failures in so long, successes in between or not. `consecutive`: in a row. `told`: by whoever makes
   * the calls and knows what they were about; the failures in a row are only shown.
   */
  trip:
    | { kind: 'within'; failures: number; windowMs: number }
    | { kind: 'consecutive' | 'told'; failures: number };
  /**
   * `manual`: an open breaker waits for an operator, unless the far side has said when to come again. `automatic`: after
   * this long a probe may go, and twice as long after each that fails, up to `maxMs` (`afterMs` unless given).
   */
  recovery: { kind: 'manual' } | { kind: 'automatic'; afterMs: number; maxMs?: number };
  /** A probe that has not come back after so long is given up on: its replica is gone. Longer than any call. */
  probeMs: number;
}

export const DEFAULT_BREAKER_RULES: BreakerRules = {
  trip: { kind: 'within', failures: 10, windowMs: 300_000 },
  recovery: { kind: 'manual' },
  probeMs: 120_000,
};

interface Base {
  /** Grows with every change of state: the result of a call that began in an earlier era counts for nothing. */
  era: number;
  /** When it came into its state. */
  sinceMs: number;
  lastFailureAtMs?: number | undefined;
  /** An operator's word, which holds until its time is over, whatever the calls do meanwhile. */
  override?: { state: 'open' | 'closed'; untilMs: number } | undefined;
  /** Why it was opened last, and how often it was since it was closed. */
  why?: TripReason | undefined;
  opens?: number | undefined;
}

export type BreakerRecord =
  /** `failedAtMs`: the failures that count at the moment, the oldest first; two at one time are two. */
  | (Base & { state: 'closed'; failedAtMs: number[] })
  /** `retryAtMs`: when a probe may go; absent when only an operator ends it. */
  | (Base & { state: 'open'; retryAtMs?: number | undefined })
  | (Base & { state: 'half_open'; probeId: string; probeUntilMs: number });

/** Leave to make one call, to be handed back with its result. */
export type Permit =
  | { kind: 'call'; era: number }
  | { kind: 'probe'; probeId: string }
  | { kind: 'uncounted' };

export type Answer =
  | { type: 'pass'; permit: Permit }
  /** The caller is the probe, once `next` is written. */
  | { type: 'probe'; permit: Permit; next: BreakerRecord }
  /** `retryInMs`: absent when nobody knows. */
  | { type: 'refuse'; retryInMs?: number };

/** Throws a `RangeError` for rules that cannot be meant. */
export function checkRules({ trip, recovery, probeMs }: BreakerRules): void {
  if (!Number.isSafeInteger(trip.failures) || trip.failures < 1) {
    throw new RangeError(`failures must be a whole number >= 1, not ${trip.failures}`);
  }
  if (trip.kind === 'within' && !(trip.windowMs > 0)) {
    throw new RangeError(`windowMs must be > 0, not ${trip.windowMs}`);
  }
  if (recovery.kind === 'automatic') {
    const { afterMs, maxMs = afterMs } = recovery;
    if (!(afterMs > 0)) throw new RangeError(`afterMs must be > 0, not ${afterMs}`);
    if (!(maxMs >= afterMs)) throw new RangeError(`maxMs must be >= afterMs (${afterMs}), not ${maxMs}`);
  }
  if (!(probeMs > 0)) throw new RangeError(`probeMs must be > 0, not ${probeMs}`);
}

/** A breaker that nothing has happened to. */
export const newBreaker = (nowMs: number): BreakerRecord => ({
  state: 'closed',
  era: 0,
  sinceMs: nowMs,
  failedAtMs: [],
});

const overrideOf = ({ override }: BreakerRecord, nowMs: number) =>
  override !== undefined && override.untilMs > nowMs ? override : undefined;

/** The state that decides about calls at the moment, an operator's word included. */
export const stateAt = (record: BreakerRecord, nowMs: number): BreakerState =>
  overrideOf(record, nowMs)?.state ?? record.state;

/** May a call be made? `probeId` names the caller in case it is to be the probe. */
export function ask(record: BreakerRecord, probeId: string, rules: BreakerRules, nowMs: number): Answer {
  const override = overrideOf(record, nowMs);
  if (override?.state === 'closed') return { type: 'pass', permit: { kind: 'uncounted' } };
  if (override?.state === 'open') return { type: 'refuse', retryInMs: override.untilMs - nowMs };
  const probe = (): Answer => ({
    type: 'probe',
    permit: { kind: 'probe', probeId },
    next: {
      ...baseOf(record, record.state === 'half_open' ? record.sinceMs : nowMs),
      state: 'half_open',
      probeId,
      probeUntilMs: nowMs + rules.probeMs,
    },
  });
  switch (record.state) {
    case 'closed':
      return { type: 'pass', permit: { kind: 'call', era: record.era } };
    case 'open':
      if (record.retryAtMs === undefined) return { type: 'refuse' };
      return record.retryAtMs <= nowMs ? probe() : { type: 'refuse', retryInMs: record.retryAtMs - nowMs };
    case 'half_open':
      return record.probeUntilMs <= nowMs ? probe() : { type: 'refuse' };
    default:
      return assertNever(record);
  }
}

/** The record after a call failed; `undefined` when that changes nothing. */
export function failed(
  record: BreakerRecord,
  permit: Permit,
  rules: BreakerRules,
  nowMs: number,
  cause: Trip = { why: 'outage' },
): BreakerRecord | undefined {
  if (!counts(record, permit, nowMs)) return undefined;
  const base = { ...record, lastFailureAtMs: nowMs };
  const { trip } = rules;
  if (base.state === 'half_open' && trip.kind === 'told' && base.why === 'half_failing') {
    // One more of those that fail while others go through: whoever knows them asks for another, or says that it is enough.
    return { ...baseOf(base, base.sinceMs), state: 'half_open', probeId: '', probeUntilMs: nowMs };
  }
  if (base.state !== 'closed') return opened(base, cause, rules, nowMs);
  const afterMs = trip.kind === 'within' ? nowMs - trip.windowMs : Number.NEGATIVE_INFINITY;
  const failedAtMs = [...base.failedAtMs.filter((atMs) => atMs > afterMs), nowMs];
  if (trip.kind === 'told') return { ...base, failedAtMs: failedAtMs.slice(-trip.failures) };
  return failedAtMs.length >= trip.failures ? opened(base, cause, rules, nowMs) : { ...base, failedAtMs };
}

/** The record once its caller has found reason to suspend the calls; `undefined` when that changes nothing. */
export function tripped(
  record: BreakerRecord,
  cause: Trip,
  rules: BreakerRules,
  nowMs: number,
): BreakerRecord | undefined {
  if (overrideOf(record, nowMs) !== undefined) return undefined;
  if (record.state === 'closed' || isBetweenProbes(record, nowMs)) return opened(record, cause, rules, nowMs);
  // Others were under way when the first was told to come again later: the longest wait counts.
  const untilMs = nowMs + (cause.retryAfterMs ?? 0);
  const isLonger = record.state === 'open' && record.retryAtMs !== undefined && record.retryAtMs < untilMs;
  return isLonger ? { ...record, retryAtMs: untilMs } : undefined;
}

/** A probe has failed and said nothing, or its replica is gone; the next one has not been sent. */
const isBetweenProbes = (record: BreakerRecord, nowMs: number): boolean =>
  record.state === 'half_open' && record.probeUntilMs <= nowMs;

/** The record after the far side answered; `undefined` when that changes nothing. */
export function answered(
  record: BreakerRecord,
  permit: Permit,
  rules: BreakerRules,
  nowMs: number,
): BreakerRecord | undefined {
  if (!counts(record, permit, nowMs)) return undefined;
  if (record.state !== 'closed') return closed(record, nowMs);
  const clears = rules.trip.kind !== 'within' && record.failedAtMs.length > 0;
  return clears ? { ...record, failedAtMs: [] } : undefined;
}

/** The record after a call of which nothing is known; `undefined` when that changes nothing: a probe is free again. */
export function released(record: BreakerRecord, permit: Permit, nowMs: number): BreakerRecord | undefined {
  if (record.state !== 'half_open' || !counts(record, permit, nowMs)) return undefined;
  return { ...baseOf(record, nowMs), state: 'open', retryAtMs: nowMs };
}

/** An operator's word from now on. */
export const overridden = (
  record: BreakerRecord,
  state: 'open' | 'closed',
  untilMs: number,
): BreakerRecord => ({ ...record, override: { state, untilMs } });

/** The record without an override whose time is over; `undefined` when there is none. */
export function withoutPastOverride(record: BreakerRecord, nowMs: number): BreakerRecord | undefined {
  if (record.override === undefined || overrideOf(record, nowMs) !== undefined) return undefined;
  return { ...record, override: undefined };
}

/** An operator's fresh start: closed, no failures, no override. */
export const closed = (record: BreakerRecord, nowMs: number): BreakerRecord => ({
  ...baseOf(record, nowMs),
  override: undefined,
  why: undefined,
  opens: undefined,
  state: 'closed',
  failedAtMs: [],
});

/** Does a result under this permit say anything about the breaker as it is now? */
function counts(record: BreakerRecord, permit: Permit, nowMs: number): boolean {
  // What happens under an operator's word neither opens nor closes anything.
  if (overrideOf(record, nowMs) !== undefined) return false;
  switch (permit.kind) {
    case 'call':
      return record.state === 'closed' && record.era === permit.era;
    case 'probe':
      return record.state === 'half_open' && record.probeId === permit.probeId;
    case 'uncounted':
      return false;
    default:
      return assertNever(permit);
  }
}

function opened(
  record: BreakerRecord,
  { why, retryAfterMs }: Trip,
  { recovery }: BreakerRules,
  nowMs: number,
): BreakerRecord {
  const opens = (record.opens ?? 0) + 1;
  const waitMs = retryAfterMs ?? (recovery.kind === 'automatic' ? waitOf(recovery, opens) : undefined);
  return {
    ...baseOf(record, nowMs),
    state: 'open',
    why,
    opens,
    ...(waitMs !== undefined && { retryAtMs: nowMs + waitMs }),
  };
}

const waitOf = ({ afterMs, maxMs = afterMs }: { afterMs: number; maxMs?: number }, opens: number): number =>
  Math.min(afterMs * 2 ** (opens - 1), maxMs);

/** What stays when the state changes. */
const baseOf = ({ era, lastFailureAtMs, override, why, opens }: BreakerRecord, sinceMs: number): Base => ({
  era: era + 1,
  sinceMs,
  ...(lastFailureAtMs !== undefined && { lastFailureAtMs }),
  ...(override !== undefined && { override }),
  ...(why !== undefined && { why }),
  ...(opens !== undefined && { opens }),
});

/** A breaker as the replicas share it. `generation` grows with every write and is part of every condition. */
export interface SharedBreaker {
  record: BreakerRecord;
  generation: number;
}

/** Where the replicas keep their breakers. Throws `StoreUnavailableError` like every store call. */
export interface BreakerStore {
  read(name: string, signal: AbortSignal): Promise<SharedBreaker | undefined>;
  /**
   * Writes `record` if nobody has written since `seen` (`undefined`: there was none). Gives what is there now: `won`
   * says whether that is ours.
   */
  write(
    name: string,
    record: BreakerRecord,
    seen: number | undefined,
    signal: AbortSignal,
  ): Promise<{ won: boolean; current: SharedBreaker | undefined }>;
}
