import type { Clock } from '../../clock.ts';
import type { BreakerStore, SharedBreaker } from '../../domain/resilience/breaker.ts';
import {
  type BreakerRecord,
  type BreakerState,
  newBreaker,
  stateAt,
  type TripReason,
  withoutPastOverride,
} from '../../domain/resilience/breaker.ts';
import { limitTime, pause } from '../../time-limit.ts';

/** Why a breaker changed its state: its calls, an operator's word or the end of it, or an operator's fresh start. */
export type TransitionCause = 'calls' | 'override' | 'override_over' | 'reset';

export interface Transition {
  name: string;
  from: BreakerState;
  to: BreakerState;
  cause: TransitionCause;
  /** Why its calls are suspended, where they suspended themselves. */
  why?: TripReason;
}

export interface SharedRecordDeps {
  name: string;
  clock: Clock;
  store?: BreakerStore;
  onState?: (state: BreakerState) => void;
  onTransition?: (transition: Transition) => void;
  onStoreError?: (error: unknown) => void;
}

export interface SharedRecord {
  /** As this replica knows it. */
  record(): BreakerRecord;
  /** The state that decides about calls. */
  state(): BreakerState;
  /** False while the store is out of reach. */
  isShared(): boolean;
  /** Is what this replica knows so old that the store should be asked? */
  isStale(): boolean;
  /** Asks the store, unless it is resting, and tells it what it missed. Never throws. */
  refresh(): Promise<void>;
  /**
   * Applies `step` to the record as it is, here and in the store, again if another replica was faster; `undefined` from
   * it changes nothing. With the store out of reach the change is made here. Never throws.
   */
  update(step: (record: BreakerRecord) => BreakerRecord | undefined, cause?: TransitionCause): Promise<void>;
}

/** What was heard from the store is believed for so long. */
const FRESH_MS = 1_000;
/** A store that does not answer is not asked again for so long: the far side's calls are not to wait for it. */
const STORE_REST_MS = 5_000;
/** And it gets this long to answer. */
const STORE_WITHIN_MS = 1_000;
/** Lost races after which a change is made here only; the next one is tried in the store again. */
const MAX_RACES = 16;
/** After a lost race: up to so long, and twice as long each time, so that the same replica does not lose for ever. */
const RACE_PAUSE_MS = 4;
const MAX_RACE_PAUSE_MS = 64;

const UNINTERRUPTED = new AbortController().signal;

async function inTime<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const time = limitTime(STORE_WITHIN_MS);
  try {
    return await ask(time.signal);
  } finally {
    time.clear();
  }
}

/** One breaker's record, shared through the store and kept here for when that is out of reach. */
export function createSharedRecord(deps: SharedRecordDeps): SharedRecord {
  const { name, clock, store } = deps;
  let record = newBreaker(clock.nowMs());
  let known = stateAt(record, clock.nowMs());
  let generation: number | undefined;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  let restUntilMs = Number.NEGATIVE_INFINITY;
  let isReachable = store !== undefined;
  /** Changed here and not in the store. */
  let isAhead = false;
  let inLine: Promise<void> = Promise.resolve();
  let refreshing: Promise<void> | undefined;
  deps.onState?.(known);

  /** `cause`: absent when another replica made the change. */
  function adopt(next: BreakerRecord, cause?: TransitionCause): void {
    record = next;
    const state = stateAt(record, clock.nowMs());
    if (state === known) return;
    const from = known;
    known = state;
    deps.onState?.(state);
    if (cause === undefined) return;
    const why = state === 'open' && cause === 'calls' ? next.why : undefined;
    deps.onTransition?.({ name, from, to: state, cause, ...(why !== undefined && { why }) });
  }

  function hear(current: SharedBreaker | undefined): void {
    askedAtMs = clock.nowMs();
    isReachable = true;
    const wasThere = generation !== undefined;
    generation = current?.generation;
    // What we saw fail while the store was away outweighs a record that knows nothing of it.
    if (isAhead && record.state !== 'closed' && (current?.record.state ?? 'closed') === 'closed') return;
    isAhead = false;
    if (current !== undefined) adopt(current.record);
    else if (wasThere) adopt(newBreaker(clock.nowMs()));
  }

  const canAsk = () => store !== undefined && clock.nowMs() >= restUntilMs;

  function giveUp(error: unknown): void {
    restUntilMs = clock.nowMs() + STORE_REST_MS;
    if (isReachable) deps.onStoreError?.(error);
    isReachable = false;
  }

  /** Writes `next` over what this replica knows; false when another was faster, and `record` is its word now. */
  async function write(next: BreakerRecord, cause?: TransitionCause): Promise<boolean> {
    if (store === undefined || !canAsk()) return keep(next, cause);
    try {
      const result = await inTime((signal) => store.write(name, next, generation, signal));
      if (!result.won) {
        hear(result.current);
        return false;
      }
    } catch (error) {
      giveUp(error);
      return keep(next, cause);
    }
    generation = (generation ?? 0) + 1;
    askedAtMs = clock.nowMs();
    isReachable = true;
    isAhead = false;
    adopt(next, cause);
    return true;
  }

  /** The local fallback. */
  function keep(next: BreakerRecord, cause?: TransitionCause): true {
    isAhead = store !== undefined;
    adopt(next, cause);
    return true;
  }

  async function apply(
    step: (record: BreakerRecord) => BreakerRecord | undefined,
    cause: TransitionCause,
  ): Promise<void> {
    for (let race = 0; race < MAX_RACES; race++) {
      const next = step(record);
      if (next === undefined || (await write(next, cause))) return;
      await pause(Math.random() * Math.min(RACE_PAUSE_MS * 2 ** race, MAX_RACE_PAUSE_MS), UNINTERRUPTED);
    }
    const next = step(record);
    if (next !== undefined) keep(next, cause);
  }

  /** One at a time in this process: only other replicas are races. */
  function queue(work: () => Promise<void>): Promise<void> {
    const run = inLine.then(work);
    inLine = run.catch(() => {
      // Its own caller hears of it; the next in line goes on.
    });
    return run;
  }

  async function look(): Promise<void> {
    if (store !== undefined && canAsk()) {
      try {
        hear(await inTime((signal) => store.read(name, signal)));
        if (isAhead) await write(record);
      } catch (error) {
        giveUp(error);
      }
    }
    await apply((current) => withoutPastOverride(current, clock.nowMs()), 'override_over');
  }

  const isStale = () => canAsk() && clock.nowMs() - askedAtMs >= FRESH_MS;

  return {
    record: () => record,
    state: () => stateAt(record, clock.nowMs()),
    isShared: () => isReachable && !isAhead,
    isStale,
    refresh() {
      // Whoever asks meanwhile gets the same answer.
      refreshing ??= queue(look).finally(() => {
        refreshing = undefined;
      });
      return refreshing;
    },
    update: (step, cause = 'calls') => queue(() => apply(step, cause)),
  };
}
