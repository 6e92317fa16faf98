import type { Clock } from '../clock.ts';
import { eventOf } from '../domain/event.ts';
import type { FailedSandbox, StaleSandbox } from '../domain/sandbox.ts';
import { purge } from '../domain/transitions.ts';
import { everywhere, type SandboxReads } from '../store/reads.ts';
import type { SandboxStore } from '../store/sandboxes.ts';
import type { CallContext } from './context.ts';

export interface PurgeDeps {
  store: Pick<SandboxStore, 'write'>;
  reads: SandboxReads;
  clock: Clock;
}

export interface PurgeCounts {
  deleted: number;
  /** Changed while the run looked at them, or a cleaner is at work on them. */
  skipped: number;
}

/** Removes the records (not the sandboxes) of what has been stale for longer than the grace period. */
export function purgeStale(deps: PurgeDeps) {
  return (
    options: { gracePeriodHours: number },
    context: CallContext,
    onProgress?: () => void,
  ): Promise<PurgeCounts> => {
    const staleUntilMs = deps.clock.nowMs() - options.gracePeriodHours * 3_600_000;
    const isPurgeable = (seen: StaleSandbox | FailedSandbox) =>
      seen.status === 'stale' && seen.staleSinceMs <= staleUntilMs;
    return purgeRecords(deps, 'stale', isPurgeable, 'purge_stale', context, onProgress);
  };
}

/** Removes the records (not the sandboxes) in one status, never a leased one. */
export type BulkDelete = (
  input: { status: 'stale' | 'deletion_failed' },
  context: CallContext,
) => Promise<PurgeCounts>;

export function bulkDelete(deps: PurgeDeps): BulkDelete {
  return ({ status }, context) => purgeRecords(deps, status, () => true, 'bulk_delete', context);
}

async function purgeRecords(
  { store, reads, clock }: PurgeDeps,
  status: 'stale' | 'deletion_failed',
  isPurgeable: (seen: StaleSandbox | FailedSandbox) => boolean,
  action: string,
  context: CallContext,
  onProgress?: () => void,
): Promise<PurgeCounts> {
  const counts: PurgeCounts = { deleted: 0, skipped: 0 };
  const found = everywhere(reads.buckets, (place) => reads.byStatus({ status, ...place }, context.signal));
  for await (const seen of found) {
    if (seen.status !== 'stale' && seen.status !== 'deletion_failed') continue;
    if (!isPurgeable(seen)) continue;
    context.signal.throwIfAborted();
    const isClaimed = seen.status === 'deletion_failed' && seen.cleanup.claimId !== undefined;
    const next = purge(seen, clock.nowMs());
    const event = eventOf(seen, next, action, context);
    const written = !isClaimed && (await store.write({ seen, next, event }, context.signal));
    counts[written ? 'deleted' : 'skipped']++;
    onProgress?.();
  }
  return counts;
}
