import { randomUUID } from 'node:crypto';
import { systemClock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import type { EffectHold, EffectOutcome, EffectRecords } from '../../domain/resilience/effect.ts';
import { limitTime, pause } from '../../time-limit.ts';
import { type EffectKey, effectKey } from './effect-key.ts';
import { createEffectsInMemory } from './effects-in-memory.ts';

export interface SideEffectsOptions<T extends string = string> {
  /** Every type of effect there is: another one is refused with a `RangeError`. Its names become part of the types. */
  types: readonly T[];
  /** Where it is kept what has happened; in memory unless given. */
  records?: EffectRecords;
  /** How long an effect may run, milliseconds. */
  runLimitMs?: number;
  /** How long the right to run outlasts the run, for clocks that differ, milliseconds. */
  leaseMarginMs?: number;
  /** How long it is remembered that an effect has happened, and its result, milliseconds. */
  ttlMs?: number;
  /** How long one who came second waits for the first one's result, milliseconds. */
  waitMs?: number;
  /** Told how each call ended, for metrics and logs. */
  onOutcome?: (type: T, outcome: EffectOutcome) => void;
}

export interface OnceOptions<T> {
  signal?: AbortSignal;
  /** How long this effect may run, milliseconds; the general limit by default. */
  runLimitMs?: number;
  /** Asks the far side whether it has happened already: its result, or undefined if it has not. */
  ask?: (signal: AbortSignal) => Promise<T | undefined>;
  /** Whether it may have happened though no record tells of it: then who finds none asks the far side, too. */
  mayBeUnrecorded?: boolean;
  /** After such an error nobody knows: the next one waits for the end of the right to run, and asks. */
  mayHaveHappened?: (error: unknown) => boolean;
}

/** Carries side effects out once, over retries, crashes and replicas. */
export interface SideEffects<T extends string = string> {
  /**
   * Runs `run` unless this effect has happened already; then its stored result is returned. The result must be JSON.
   * What `run` gets as `assertInTime` throws once the right to run is over by the wall clock: to be asked before each attempt.
   *
   * Throws `STORE_UNAVAILABLE` without running when the store cannot say; `EFFECT_IN_PROGRESS` (with
   * `retryAfterSeconds`) when another is at it for longer than the wait; what `run` throws, after which it may be tried
   * again. An effect that happened is returned even if its result could not be stored.
   */
  once<Result>(
    key: EffectKey<T>,
    run: (signal: AbortSignal, assertInTime: () => void) => Promise<Result>,
    options?: OnceOptions<Result>,
  ): Promise<{ result: Result; replayed: boolean }>;
}

const RUN_LIMIT_MS = 45_000;
const LEASE_MARGIN_MS = 15_000;
const WAIT_MS = 5_000;
const TTL_MS = 72 * 3_600_000;
const POLL_MS = 100;
const STORE_TRIES = 3;
/** Of a record that was not there before. */
const FIRST_FENCE = 1;

const UNINTERRUPTED = new AbortController().signal;

/** Throws `RangeError` for a time that is not > 0. */
export function createSideEffects<T extends string>(options: SideEffectsOptions<T>): SideEffects<T> {
  const { onOutcome, records = createEffectsInMemory({ clock: systemClock, newId: randomUUID }) } = options;
  const types: ReadonlySet<T> = new Set(options.types);
  const runLimitMs = positive('runLimitMs', options.runLimitMs ?? RUN_LIMIT_MS);
  const leaseMarginMs = positive('leaseMarginMs', options.leaseMarginMs ?? LEASE_MARGIN_MS);
  const ttlMs = positive('ttlMs', options.ttlMs ?? TTL_MS);
  const waitMs = positive('waitMs', options.waitMs ?? WAIT_MS);

  /** Takes the effect, waiting for a while where another holds it. */
  async function take(key: EffectKey<T>, leaseMs: number, signal: AbortSignal) {
    const pk = effectKey(key);
    const deadlineMs = performance.now() + waitMs;
    for (;;) {
      signal.throwIfAborted();
      const taken = await records.take(pk, { leaseMs, ttlMs }, signal);
      if (taken.type !== 'in_progress') return taken;
      if (performance.now() >= deadlineMs) {
        onOutcome?.(key.type, 'in_progress');
        throw inProgress(taken.freeInMs);
      }
      await pause(POLL_MS, signal);
    }
  }

  /** It happened; a store that does not take the news must not make it look as if it had not. */
  async function store(type: T, hold: EffectHold, result: unknown, outcome: EffectOutcome): Promise<void> {
    for (let tries = 0; tries < STORE_TRIES; tries++) {
      try {
        // False is as good: who took over has asked the far side, or will.
        await records.complete(hold, result);
        onOutcome?.(type, outcome);
        return;
      } catch {
        // The store has been retrying for a while already; a few rounds more, then the far side has to be asked.
      }
    }
    onOutcome?.(type, 'result_not_stored');
  }

  return {
    async once<Result>(
      key: EffectKey<T>,
      run: (signal: AbortSignal, assertInTime: () => void) => Promise<Result>,
      options: OnceOptions<Result> = {},
    ) {
      if (!types.has(key.type)) throw new RangeError(`there is no effect of the type ${key.type}`);
      const { signal = UNINTERRUPTED, runLimitMs: limitMs = runLimitMs } = options;
      const taken = await take(key, limitMs + leaseMarginMs, signal);
      if (taken.type === 'completed') {
        onOutcome?.(key.type, 'replayed');
        return { result: asStored<Result>(taken.result), replayed: true };
      }
      const time = limitTime(limitMs, signal);
      try {
        return await carryOut(key.type, taken.hold, run, options, time.signal);
      } finally {
        time.clear();
      }
    },
  };

  async function carryOut<Result>(
    type: T,
    hold: EffectHold,
    run: (signal: AbortSignal, assertInTime: () => void) => Promise<Result>,
    { ask, mayBeUnrecorded = false, mayHaveHappened }: OnceOptions<Result>,
    signal: AbortSignal,
  ) {
    // While the far side cannot be asked, nothing is known and nothing is written: the next one has to ask as well.
    const isInDoubt = hold.isTakenOver || (mayBeUnrecorded && hold.fence === FIRST_FENCE);
    const known = isInDoubt && ask ? await ask(signal) : undefined;
    if (known !== undefined) {
      await store(type, hold, known, 'confirmed');
      return { result: known, replayed: true };
    }
    let result: Result;
    // By the wall clock: a machine that was suspended in between has let nothing else of its time pass.
    const assertInTime = () => {
      if (records.isOver(hold)) throw inProgress(0);
    };
    try {
      assertInTime();
      result = await run(signal, assertInTime);
    } catch (error) {
      onOutcome?.(type, 'failed');
      // Where that cannot be stored either, the lease runs out by itself.
      if (!mayHaveHappened?.(error)) await records.fail(hold, nameOf(error)).catch(() => false);
      throw error;
    }
    await store(type, hold, result, 'completed');
    return { result, replayed: false };
  }
}

const inProgress = (freeInMs: number) =>
  new BrokerError('EFFECT_IN_PROGRESS', 'The same is being done by another at this moment.', {
    retryAfterSeconds: Math.max(1, Math.ceil(freeInMs / 1000)),
  });

/** Never an error's text: it may quote what was sent. */
const nameOf = (error: unknown): string => (error instanceof Error ? error.name : 'unknown');

function positive(name: string, ms: number): number {
  if (!(ms > 0)) throw new RangeError(`${name} must be > 0, not ${ms}`);
  return ms;
}

/** What comes back under a key is what `run` gave for that key: the type is the caller's own promise. */
const asStored = <T>(result: unknown): T => result as T;
