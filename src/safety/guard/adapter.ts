import type { Guard, GuardedAction, GuardOutcome, GuardRunOptions } from './guard.ts';

/** What an operation does, from its arguments. */
export type Describe<Args extends unknown[]> = (
  ...args: Args
) => Pick<GuardedAction, 'entity' | 'generation' | 'args' | 'key'> & { signal?: AbortSignal };

type Operation<Args extends unknown[], T> = (...args: Args) => Promise<T>;

/** The operation with the same arguments; what became of it is part of the result, because it may be held back. */
export type IrreversibleAdapter = <Args extends unknown[], T>(
  operation: Operation<Args, T>,
  describe: Describe<Args>,
  options?: Omit<GuardRunOptions<T>, 'signal'>,
) => Operation<Args, GuardOutcome<T>>;

/**
 * Wraps operations that cannot be undone, as they are, so that each goes through the guard as `action`. Throws a
 * `RangeError` for an action that can be undone, which needs no guard, or that nobody knows.
 */
export function irreversibleAdapter<A extends string, R extends string>(
  guard: Guard<A, R>,
  action: NoInfer<A>,
): IrreversibleAdapter {
  if (!guard.isIrreversible(action)) throw new RangeError(`${action} can be undone`);
  return (operation, describe, options = {}) =>
    (...args) => {
      const { signal, ...what } = describe(...args);
      return guard.run({ action, task: action, ...what }, () => operation(...args), { ...options, signal });
    };
}
