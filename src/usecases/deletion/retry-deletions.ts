import { hasCode } from '../../domain/errors.ts';
import { everywhere, type SandboxReads } from '../../store/sandboxes/reads.ts';
import type { CallContext } from '../context.ts';
import type { OperateSandbox } from '../leases/operate-sandbox.ts';

export interface RetryDeletionsResult {
  counts: {
    /** Failed deletions that were found. */
    found: number;
    /** Due at once, with a fresh set of attempts. */
    retried: number;
    /** A cleaner is at work on them, or they changed meanwhile. */
    skipped: number;
    /** Could not be changed; the rest was all the same. */
    failed: number;
  };
  /** The first of those that are due at once. */
  retriedIds: string[];
  /** The first of those that could not be changed. */
  failedIds: string[];
}

/**
 * Gives every failed deletion a fresh set of attempts, parked or not, once its cause is mended; `prefix`: only of names
 * that begin so. Asking again is harmless. Throws `STORE_UNAVAILABLE` when they cannot be listed.
 */
export type RetryDeletions = (
  input: { prefix?: string | undefined },
  context: CallContext,
) => Promise<RetryDeletionsResult>;

const MAX_NAMED = 100;

export function retryDeletions(deps: {
  reads: Pick<SandboxReads, 'buckets' | 'byStatus'>;
  /** For one of them, behind its guard. */
  retryDeletion: OperateSandbox;
}): RetryDeletions {
  const { reads } = deps;
  return async ({ prefix }, context) => {
    const counts = { found: 0, retried: 0, skipped: 0, failed: 0 };
    const retriedIds: string[] = [];
    const failedIds: string[] = [];
    const failed = everywhere(reads.buckets, (place) =>
      reads.byStatus({ status: 'deletion_failed', namePrefix: prefix, ...place }, context.signal),
    );
    for await (const { id } of failed) {
      context.signal.throwIfAborted();
      counts.found++;
      try {
        context.assertHeld?.();
        const { status } = await deps.retryDeletion(id, context);
        const isRetried = status === 'pending_deletion';
        counts[isRetried ? 'retried' : 'skipped']++;
        if (isRetried && retriedIds.length < MAX_NAMED) retriedIds.push(id);
      } catch (error) {
        if (context.signal.aborted) throw error;
        if (hasMovedOn(error)) {
          counts.skipped++;
        } else {
          counts.failed++;
          if (failedIds.length < MAX_NAMED) failedIds.push(id);
        }
      }
    }
    return { counts, retriedIds, failedIds };
  };
}

const hasMovedOn = (error: unknown): boolean =>
  hasCode(error, 'INVALID_STATE') || hasCode(error, 'SANDBOX_NOT_FOUND');
