import { randomUUID } from 'node:crypto';
import { type Clock, type NewId, systemClock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import type { BreakerStore } from '../../domain/resilience/breaker.ts';
import {
  answered,
  ask,
  type BreakerRecord,
  type BreakerRules,
  type BreakerState,
  checkRules,
  closed,
  DEFAULT_BREAKER_RULES,
  failed,
  overridden,
  type Permit,
  released,
  type Trip,
  type TripReason,
  tripped,
} from '../../domain/resilience/breaker.ts';
import { type Health, healthOf, tripOf as tripOfAnyError } from '../retry/retryable.ts';
import { createSharedRecord, type Transition } from './shared-breaker.ts';

/** The breaker is open: nothing was called. Over HTTP it is a 502 with `Retry-After`. */
export class BreakerOpenError extends BrokerError {
  readonly breaker: string;
  readonly retryAfterMs: number;

  constructor(breaker: string, retryAfterMs: number) {
    super('PROVIDER_UNAVAILABLE', `The calls of ${breaker} failed too often and are suspended for a while.`, {
      retryAfterSeconds: retryAfterMs / 1000,
    });
    this.name = 'BreakerOpenError';
    this.breaker = breaker;
    this.retryAfterMs = retryAfterMs;
  }
}

/** A breaker as an operator sees it. Times are epoch milliseconds. */
export interface BreakerReport {
  name: string;
  state: BreakerState;
  sinceMs: number;
  /** Failures that count at the moment; 0 unless closed. */
  failures: number;
  /** So many open it. */
  threshold: number;
  lastFailureAtMs?: number;
  /** Why its calls are suspended; absent while they are not, or by an operator's word alone. */
  why?: TripReason;
  /** When a probe may go; absent unless open, and where an operator has to end it. */
  retryAtMs?: number;
  override?: { state: 'open' | 'closed'; untilMs: number };
  /** False while the store is out of reach: this replica decides by itself. */
  shared: boolean;
}

export interface Breaker {
  readonly name: string;
  /**
   * Makes the call, unless too many have failed. Throws {@link BreakerOpenError} without calling then; else whatever the
   * call throws. The call's own signal is the caller's: a caller that gives up is nobody's failure.
   */
  execute<T>(call: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** The last known state, without asking the store. */
  state(): BreakerState;
  /** Milliseconds until a call makes sense, by the last known state; 0 when it does now, if only as the probe. */
  blockedForMs(): number;
  /** The same where it is known when the rest is over; undefined where it is not, or there is none. */
  restMs(): number | undefined;
  report(): BreakerReport;
  /** Looks what the other replicas have done. Never throws. */
  refresh(): Promise<void>;
  /** The caller knows what its calls were about, and has found reason to suspend them. */
  trip(cause: Trip): Promise<void>;
  /** An operator's word: open or closed for `durationMs`, whatever the calls do. */
  override(state: 'open' | 'closed', durationMs: number): Promise<void>;
  /** An operator's fresh start: closed, no failures, no override. */
  reset(): Promise<void>;
}

export interface BreakerDeps {
  name: string;
  clock?: Clock;
  rules?: Partial<BreakerRules>;
  /** Where the replicas share it; without it this process is alone. */
  store?: BreakerStore;
  newId?: NewId;
  /** Which errors count against the far side; {@link healthOf} unless the caller knows better. */
  judge?: (error: unknown) => Health;
  /** What an error that counts says about why, and for how long; by its status and `retryAfterMs` unless given. */
  tripOf?: (error: unknown) => Trip;
  /** Told the state at the beginning and whenever it is another, whoever changed it. */
  onState?: (state: BreakerState) => void;
  /** Told of the changes that this replica made. */
  onTransition?: (transition: Transition) => void;
  /** Told when the store has become out of reach. */
  onStoreError?: (error: unknown) => void;
}

/** What a caller is told to wait when only an operator, or a probe under way, can end it. */
const UNKNOWN_WAIT_MS = 30_000;

const UNINTERRUPTED = new AbortController().signal;

/** A circuit breaker, closed at first. Throws a `RangeError` for rules that cannot be meant. */
export function createBreaker(deps: BreakerDeps): Breaker {
  const { name, clock = systemClock, newId = randomUUID, judge = healthOf, tripOf = tripOfAnyError } = deps;
  const rules: BreakerRules = { ...DEFAULT_BREAKER_RULES, ...deps.rules };
  checkRules(rules);
  const shared = createSharedRecord({ ...deps, clock });

  async function enter(): Promise<Permit> {
    if (shared.isStale()) await shared.refresh();
    const id = newId();
    const answer = ask(shared.record(), id, rules, clock.nowMs());
    if (answer.type === 'pass') return answer.permit;
    if (answer.type === 'probe') {
      // Of all that ask at this moment, here and on other replicas, one gets its own id into the record.
      await shared.update((record) => probeOf(record, id));
      const record = shared.record();
      if (record.state === 'half_open' && record.probeId === id) return answer.permit;
    }
    throw new BreakerOpenError(name, Math.max(1, blockedForMs()));
  }

  function probeOf(record: BreakerRecord, id: string): BreakerRecord | undefined {
    const answer = ask(record, id, rules, clock.nowMs());
    return answer.type === 'probe' ? answer.next : undefined;
  }

  async function leave(permit: Permit, health: Health, error?: unknown): Promise<void> {
    const step = (record: BreakerRecord): BreakerRecord | undefined => {
      const nowMs = clock.nowMs();
      if (health === 'failure') return failed(record, permit, rules, nowMs, tripOf(error));
      if (health === 'answered') return answered(record, permit, rules, nowMs);
      return released(record, permit, nowMs);
    };
    // A call that changes nothing, as nearly all do, costs nothing.
    if (step(shared.record()) !== undefined) await shared.update(step);
  }

  const now = () => ask(shared.record(), '', rules, clock.nowMs());

  function blockedForMs(): number {
    const answer = now();
    return answer.type === 'refuse' ? (answer.retryInMs ?? UNKNOWN_WAIT_MS) : 0;
  }

  return {
    name,
    async execute(call, signal = UNINTERRUPTED) {
      signal.throwIfAborted();
      const permit = await enter();
      try {
        const result = await call(signal);
        await leave(permit, 'answered');
        return result;
      } catch (error) {
        await leave(permit, signal.aborted ? 'ignored' : judge(error), error);
        throw error;
      }
    },
    state: shared.state,
    blockedForMs,
    restMs() {
      const answer = now();
      return answer.type === 'refuse' ? answer.retryInMs : undefined;
    },
    report() {
      const record = shared.record();
      return {
        name,
        state: shared.state(),
        sinceMs: record.sinceMs,
        failures: record.state === 'closed' ? record.failedAtMs.length : 0,
        threshold: rules.trip.failures,
        ...(record.why !== undefined && { why: record.why }),
        ...(record.lastFailureAtMs !== undefined && { lastFailureAtMs: record.lastFailureAtMs }),
        ...(record.state === 'open' && record.retryAtMs !== undefined && { retryAtMs: record.retryAtMs }),
        ...(record.override !== undefined && { override: record.override }),
        shared: shared.isShared(),
      };
    },
    refresh: () => shared.refresh(),
    trip: (cause) => shared.update((record) => tripped(record, cause, rules, clock.nowMs())),
    override: (state, durationMs) =>
      shared.update((record) => overridden(record, state, clock.nowMs() + durationMs), 'override'),
    reset: () => shared.update((record) => closed(record, clock.nowMs()), 'reset'),
  };
}
