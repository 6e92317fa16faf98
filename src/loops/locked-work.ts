import type { Action } from '../domain/resilience/action.ts';
import { type DryRunLock, refuseIfLocked } from '../safety/index.ts';
import type { LoopOptions } from './loop.ts';

/**
 * A loop's work under the dry-run lock, whoever began the run: a strict one refuses it with `DRY_RUN_LOCKED`, under any
 * other its counts say that it was a dry run (`dry_run_blocked`), though nothing may have been there to hold back. That
 * nothing is done is the guard's business.
 */
export function lockedWork<Options>(
  lock: Pick<DryRunLock, 'strict' | 'blocks' | 'record'>,
  action: Action,
  work: LoopOptions<Options>['work'],
): LoopOptions<Options>['work'] {
  return async (options, context, onProgress) => {
    refuseIfLocked(lock, action, { by: context.actor });
    const counts = await work(options, context, onProgress);
    return lock.blocks(action) ? { dry_run_blocked: 0, ...counts } : counts;
  };
}
