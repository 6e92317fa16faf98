import { type Breaker, BreakerOpenError } from '../breaker/breaker.ts';
import { type DryRunLock, type DryRunResult, dryRunResult } from '../dry-run/dry-run.ts';
import type { SideEffects } from '../effects/side-effects.ts';
import type { Governor } from '../quota/governor.ts';
import type { Retry } from '../retry/retry.ts';

/** An action that is asked for: what it is, and what it is done to. */
export interface GuardedAction<A extends string = string, R extends string = string> {
  action: A;
  /** The quota it uses up; the action's own unless named. */
  resource?: R | undefined;
  /** Whose quota, where callers are counted one by one. */
  key?: string | undefined;
  /** What it is done to, such as a sandbox's id. */
  entity: string;
  /** Differs for every legitimate repetition, such as the generation of the record. */
  generation: number;
  /** Names the work in the statistics of retries. */
  task: string;
  /** What it is done with; redacted before it is kept. */
  args?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * What became of it. `dry_run`: it was not done, and everything stays as it was. `later`: its quota is used up, or its
 * breaker is open; nothing was done.
 */
export type GuardOutcome<T, A extends string = string> =
  | { outcome: 'executed'; result: T }
  | ({ outcome: 'dry_run' } & Omit<DryRunResult<A>, 'dry_run'>)
  | { outcome: 'later'; retryAfterSeconds: number };

export interface GuardRunOptions<T> {
  signal?: AbortSignal | undefined;
  /** Of the far side that is called; without one the call is made whatever happened before. */
  breaker?: Breaker | undefined;
  /** Its result where it finds nothing to be done to, which uses up no quota; undefined where there is something. */
  ifIdle?: (() => Promise<T | undefined>) | undefined;
  /** Asks the far side whether it has happened already, after its owner crashed. */
  ask?: ((signal: AbortSignal) => Promise<T | undefined>) | undefined;
  /** What the log calls a result, where the work deals with its own errors; `undefined`: nothing was done after all. */
  logAs?: ((result: T) => 'executed' | 'error' | undefined) | undefined;
}

/** The one way to anything that cannot be undone. */
export interface Guard<A extends string = string, R extends string = string> {
  isIrreversible(action: A): boolean;
  /**
   * Governor → dry-run lock → effect record → breaker → retry → `call`. Throws what `call` throws at last,
   * `EFFECT_IN_PROGRESS`, and `STORE_UNAVAILABLE` when it cannot be known whether it may be done: it is not done then.
   * With effect records the result must be JSON, and is the stored one when it had happened already.
   */
  run<T>(
    guarded: GuardedAction<A, R>,
    call: (signal: AbortSignal) => Promise<T>,
    options?: GuardRunOptions<T>,
  ): Promise<GuardOutcome<T, A>>;
}

export interface GuardOptions<A extends string = string, R extends string = string> {
  /** Without one nothing is rationed. */
  governor?: Pick<Governor<R>, 'take' | 'check'>;
  /** It knows every action there is, and throws a `RangeError` for another. */
  dryRun: Pick<DryRunLock<A>, 'blocks' | 'record' | 'isIrreversible'>;
  /** The quota that each action uses up, unless its caller names another. The others are not rationed. */
  resourceOf?: Readonly<Partial<Record<A, R>>> | undefined;
  /** Without these the call is made each time, and once: for calls that have them further inside. */
  effects?: SideEffects<A> | undefined;
  retry?: Retry | undefined;
}

const UNINTERRUPTED = new AbortController().signal;

export function createGuard<A extends string, R extends string>(options: GuardOptions<A, R>): Guard<A, R> {
  const { governor, dryRun, effects, retry } = options;
  const resourceOf = (action: A): R | undefined => options.resourceOf?.[action];
  const record = (
    { action, args }: GuardedAction<A, R>,
    status: 'dry_run_blocked' | 'executed' | 'error',
  ) => {
    if (dryRun.isIrreversible(action)) dryRun.record({ action, status, args });
  };

  /** From the inside out; each is left out where there is none. What can be undone needs none of them. */
  async function carryOut<T>(
    { action, entity, generation, task }: GuardedAction<A, R>,
    call: (signal: AbortSignal) => Promise<T>,
    { signal = UNINTERRUPTED, breaker, ask }: GuardRunOptions<T>,
  ): Promise<T> {
    if (!dryRun.isIrreversible(action)) return call(signal);
    const carry = (inner: AbortSignal, assertInTime?: () => void) => {
      // Before each attempt: a wait may have taken longer than it was to.
      const attempt = (each: AbortSignal) => {
        assertInTime?.();
        return call(each);
      };
      const retried = (each: AbortSignal) =>
        retry ? retry.run(task, (_n, one) => attempt(one), { signal: each }) : attempt(each);
      return breaker ? breaker.execute(retried, inner) : retried(inner);
    };
    if (!effects) return carry(signal);
    const done = await effects.once<T>({ type: action, entity, generation }, carry, {
      signal,
      ...(ask && { ask }),
    });
    return done.result;
  }

  return {
    isIrreversible: (action) => dryRun.isIrreversible(action),
    async run(guarded, call, options = {}) {
      const { action, key, resource = resourceOf(action) } = guarded;
      const blocked = dryRun.blocks(action);
      const idle = blocked ? undefined : await options.ifIdle?.();
      if (idle !== undefined) return { outcome: 'executed', result: idle };
      if (governor !== undefined && resource !== undefined) {
        // What is not going to be done uses nothing up: the quota is whole when the lock is opened.
        const verdict = blocked
          ? governor.check(resource, key)
          : await governor.take(resource, key, options.signal);
        if (!verdict.allowed) return { outcome: 'later', retryAfterSeconds: verdict.retryAfterSeconds };
      }
      if (blocked) {
        record(guarded, 'dry_run_blocked');
        const { result } = dryRunResult(action);
        return { outcome: 'dry_run', action, result };
      }
      try {
        const result = await carryOut(guarded, call, options);
        const status = options.logAs ? options.logAs(result) : 'executed';
        if (status !== undefined) record(guarded, status);
        return { outcome: 'executed', result };
      } catch (error) {
        if (error instanceof BreakerOpenError) {
          return { outcome: 'later', retryAfterSeconds: Math.max(1, Math.ceil(error.retryAfterMs / 1000)) };
        }
        record(guarded, 'error');
        throw error;
      }
    },
  };
}
