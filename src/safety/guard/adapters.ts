import { quotaExceeded } from '../quota/governor.ts';
import type { Guard, GuardedAction, GuardOutcome, GuardRunOptions } from './guard.ts';

/** What an operation does, from its arguments. */
export type Describe<Args extends unknown[]> = (
  ...args: Args
) => Pick<GuardedAction, 'entity' | 'generation' | 'args' | 'key'> & { signal?: AbortSignal };

type Operation<Args extends unknown[], T> = (...args: Args) => Promise<T>;

/** The operation with the same arguments and the same result; it throws `QUOTA_EXCEEDED` in addition. */
export type ReversibleAdapter = <Args extends unknown[], T>(
  operation: Operation<Args, T>,
  describe: Describe<Args>,
) => Operation<Args, T>;

/** The operation with the same arguments; what became of it is part of the result, because it may be held back. */
export type IrreversibleAdapter = <Args extends unknown[], T>(
  operation: Operation<Args, T>,
  describe: Describe<Args>,
  options?: Omit<GuardRunOptions<T>, 'signal'>,
) => Operation<Args, GuardOutcome<T>>;

function guarded<A extends string, R extends string, Args extends unknown[], T>(
  guard: Guard<A, R>,
  action: A,
  operation: Operation<Args, T>,
  describe: Describe<Args>,
  options: Omit<GuardRunOptions<T>, 'signal'> = {},
): Operation<Args, GuardOutcome<T>> {
  return (...args) => {
    const { signal, ...what } = describe(...args);
    return guard.run({ action, task: action, ...what }, () => operation(...args), { ...options, signal });
  };
}

/**
 * Wraps operations that can be undone, as they are, so that each goes through the guard as `action`. Throws a `RangeError`
 * for an action that cannot be undone, or that nobody knows.
 */
export function reversibleAdapter<A extends string, R extends string>(
  guard: Guard<A, R>,
  action: NoInfer<A>,
): ReversibleAdapter {
  if (guard.isIrreversible(action)) throw new RangeError(`${action} cannot be undone`);
  return (operation, describe) => {
    const run = guarded(guard, action, operation, describe);
    return async (...args) => {
      const done = await run(...args);
      switch (done.outcome) {
        case 'executed':
          return done.result;
        case 'later':
          throw quotaExceeded(guard.resourceOf(action) ?? action, done.retryAfterSeconds);
        case 'dry_run':
          throw new RangeError(`${action} can be undone, and was held back by a dry run`);
      }
    };
  };
}

/** Wraps operations that cannot be undone likewise; throws a `RangeError` for an action that can be, or is not known. */
export function irreversibleAdapter<A extends string, R extends string>(
  guard: Guard<A, R>,
  action: NoInfer<A>,
): IrreversibleAdapter {
  if (!guard.isIrreversible(action)) throw new RangeError(`${action} can be undone`);
  return (operation, describe, options) => guarded(guard, action, operation, describe, options);
}
