import { type Breaker, BreakerOpenError } from '../breaker/breaker.ts';
import { type DryRunLock, type DryRunResult, dryRunResult } from '../dry-run/dry-run.ts';
import type { Effects } from '../effects/effects.ts';
import type { Governor } from '../quota/governor.ts';
import type { Retry } from '../retry/retry.ts';
import { type Action, isIrreversible, RESOURCE_OF, type Resource } from './action.ts';

/** An action that is asked for: what it is, and what it is done to. */
export interface GuardedAction {
  action: Action;
  /** The quota it uses up; the action's own unless named. */
  resource?: Resource | undefined;
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
export type GuardOutcome<T> =
  | { outcome: 'executed'; result: T }
  | ({ outcome: 'dry_run' } & Omit<DryRunResult, 'dry_run'>)
  | { outcome: 'later'; retryAfterSeconds: number };

export interface GuardRunOptions<T> {
  signal: AbortSignal;
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
export interface Guard {
  /**
   * Governor → dry-run lock → effect record → breaker → retry → `call`. Throws what `call` throws at last,
   * `EFFECT_IN_PROGRESS`, and `STORE_UNAVAILABLE` when it cannot be known whether it may be done: it is not done then.
   * With effect records the result must be JSON, and is the stored one when it had happened already.
   */
  run<T>(
    guarded: GuardedAction,
    call: (signal: AbortSignal) => Promise<T>,
    options: GuardRunOptions<T>,
  ): Promise<GuardOutcome<T>>;
}

export interface GuardOptions {
  governor: Pick<Governor, 'take' | 'check'>;
  dryRun: Pick<DryRunLock, 'blocks' | 'record'>;
  /** Without these the call is made each time, and once: for calls that have them further inside. */
  effects?: Effects | undefined;
  retry?: Retry | undefined;
}

export function createGuard({ governor, dryRun, effects, retry }: GuardOptions): Guard {
  const record = ({ action, args }: GuardedAction, status: 'dry_run_blocked' | 'executed' | 'error') => {
    if (isIrreversible(action)) dryRun.record({ action, status, args });
  };

  /** From the inside out; each is left out where there is none. What can be undone needs none of them. */
  async function carryOut<T>(
    { action, entity, generation, task }: GuardedAction,
    call: (signal: AbortSignal) => Promise<T>,
    { signal, breaker, ask }: GuardRunOptions<T>,
  ): Promise<T> {
    if (!isIrreversible(action)) return call(signal);
    const retried = (inner: AbortSignal) =>
      retry ? retry.run(task, (_attempt, each) => call(each), { signal: inner }) : call(inner);
    const broken = (inner: AbortSignal) => (breaker ? breaker.execute(retried, inner) : retried(inner));
    if (!effects) return broken(signal);
    const done = await effects.once<T>({ type: action, entity, generation }, broken, {
      signal,
      ...(ask && { ask }),
    });
    return done.result;
  }

  return {
    async run(guarded, call, options) {
      const { action, key, resource = RESOURCE_OF[action] } = guarded;
      const blocked = dryRun.blocks(action);
      const idle = blocked ? undefined : await options.ifIdle?.();
      if (idle !== undefined) return { outcome: 'executed', result: idle };
      if (resource !== undefined) {
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
