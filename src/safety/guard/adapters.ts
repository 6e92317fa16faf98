import { quotaExceeded } from '../quota/governor.ts';
import { type Action, type IrreversibleAction, RESOURCE_OF, type ReversibleAction } from './action.ts';
import type { Guard, GuardedAction, GuardOutcome, GuardRunOptions } from './guard.ts';

/** What an operation does, from its arguments. */
export type Describe<Args extends unknown[]> = (
  ...args: Args
) => Pick<GuardedAction, 'entity' | 'generation' | 'args' | 'key'> & { signal: AbortSignal };

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

/** Wrappers that put an operation behind the guard without touching it. */
export interface Adapters {
  /** Handing a sandbox to a holder. */
  leaseGrant: ReversibleAdapter;
  /** Ending a lease: the holder gives back, the time is over, an operator takes it. */
  leaseState: ReversibleAdapter;
  /** Any other change of a sandbox's record. */
  sandboxState: ReversibleAdapter;
  /** A line in a history. */
  auditWrite: ReversibleAdapter;
  /** A delete at the provider. */
  providerDelete: IrreversibleAdapter;
}

export function createAdapters(guard: Guard): Adapters {
  const guarded = <Args extends unknown[], T>(
    action: Action,
    operation: Operation<Args, T>,
    describe: Describe<Args>,
    options: Omit<GuardRunOptions<T>, 'signal'> = {},
  ): Operation<Args, GuardOutcome<T>> => {
    return (...args) => {
      const { signal, ...what } = describe(...args);
      return guard.run({ action, task: action, ...what }, () => operation(...args), { ...options, signal });
    };
  };

  const reversible =
    (action: ReversibleAction): ReversibleAdapter =>
    (operation, describe) => {
      const run = guarded(action, operation, describe);
      return async (...args) => {
        const done = await run(...args);
        switch (done.outcome) {
          case 'executed':
            return done.result;
          case 'later':
            throw quotaExceeded(RESOURCE_OF[action] ?? action, done.retryAfterSeconds);
          case 'dry_run':
            throw new RangeError(`${action} can be undone, and was held back by a dry run`);
        }
      };
    };

  const irreversible =
    (action: IrreversibleAction): IrreversibleAdapter =>
    (operation, describe, options) =>
      guarded(action, operation, describe, options);

  return {
    leaseGrant: reversible('lease_grant'),
    leaseState: reversible('lease_state'),
    sandboxState: reversible('sandbox_state'),
    auditWrite: reversible('audit_write'),
    providerDelete: irreversible('csp_delete'),
  };
}
