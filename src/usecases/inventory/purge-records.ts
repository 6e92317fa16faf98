import type { Clock } from '../../clock.ts';
import { assertNever } from '../../domain/errors.ts';
import { eventOf } from '../../domain/event.ts';
import type { Action, Resource } from '../../domain/resilience/action.ts';
import type { FailedSandbox, StaleSandbox } from '../../domain/sandbox.ts';
import { purge } from '../../domain/transitions.ts';
import { type Guard, quotaExceeded } from '../../safety/index.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { workOff } from '../../work-off.ts';
import type { CallContext } from '../context.ts';
import { everywhere } from '../everywhere.ts';

export interface PurgeDeps {
  /** Without effect records: a purge takes longer than their time, and a record's own write is conditional. */
  guard: Guard<Action, Resource>;
  store: Pick<SandboxStore, 'write'>;
  reads: SandboxReads;
  clock: Clock;
  /** A record could not be removed; the next purge tries it again. */
  onFailure: (sandboxId: string, error: unknown) => void;
}

export interface PurgeCounts {
  deleted: number;
  /** Changed while the run looked at them, or a cleaner is at work on them. */
  skipped: number;
  /** Could not be removed; only there where one failed. */
  failed?: number;
  /** What would have been deleted; only there in a dry run. */
  dry_run_blocked?: number;
}

type Purgeable = StaleSandbox | FailedSandbox;

interface Scope {
  action: 'stale_purge' | 'bulk_delete';
  args: Record<string, unknown>;
  /** What the history calls it. */
  event: string;
  status: Purgeable['status'];
  isPurgeable: (seen: Purgeable) => boolean;
}

/** Removes the records (not the sandboxes) of what has been stale for longer than the grace period. */
export function purgeStale(deps: PurgeDeps) {
  return (
    options: { gracePeriodHours: number },
    context: CallContext,
    onProgress?: () => void,
  ): Promise<PurgeCounts> => {
    const staleUntilMs = deps.clock.nowMs() - options.gracePeriodHours * 3_600_000;
    const scope: Scope = {
      action: 'stale_purge',
      args: { grace_period_hours: options.gracePeriodHours },
      event: 'purge_stale',
      status: 'stale',
      isPurgeable: (seen) => seen.status === 'stale' && seen.staleSinceMs <= staleUntilMs,
    };
    return purgeUnderGuard(deps, scope, context, onProgress);
  };
}

/** Removes the records (not the sandboxes) in one status, never a leased one. Throws `QUOTA_EXCEEDED`. */
export type BulkDelete = (
  input: { status: 'stale' | 'deletion_failed' },
  context: CallContext,
) => Promise<PurgeCounts>;

export function bulkDelete(deps: PurgeDeps): BulkDelete {
  return async ({ status }, context) => {
    const scope: Scope = {
      action: 'bulk_delete',
      args: { status },
      event: 'bulk_delete',
      status,
      isPurgeable: () => true,
    };
    return purgeUnderGuard(deps, scope, context);
  };
}

async function purgeUnderGuard(
  deps: PurgeDeps,
  scope: Scope,
  context: CallContext,
  onProgress?: () => void,
): Promise<PurgeCounts> {
  const { action, args, status } = scope;
  const guarded = await deps.guard.run(
    { action, args, task: action, entity: status, generation: deps.clock.nowMs() },
    () => purgeRecords(deps, scope, context, onProgress),
    {
      signal: context.signal,
      ifIdle: async () => {
        const { done: isNothing } = await purgeable(deps, scope, context).next();
        return isNothing ? { deleted: 0, skipped: 0 } : undefined;
      },
    },
  );
  switch (guarded.outcome) {
    case 'executed':
      return guarded.result;
    case 'later':
      throw quotaExceeded(action, guarded.retryAfterSeconds);
    case 'dry_run':
      return {
        deleted: 0,
        skipped: 0,
        dry_run_blocked: await countPurgeable(deps, scope, context, onProgress),
      };
    default:
      return assertNever(guarded);
  }
}

/** The records of the scope, one by one. */
async function* purgeable(
  { reads }: PurgeDeps,
  { status, isPurgeable }: Scope,
  context: CallContext,
): AsyncGenerator<Purgeable, void, void> {
  const found = everywhere(reads.buckets, (place) => reads.byStatus({ status, ...place }, context.signal));
  for await (const seen of found) {
    if (seen.status !== 'stale' && seen.status !== 'deletion_failed') continue;
    if (isPurgeable(seen)) yield seen;
  }
}

const isClaimed = (seen: Purgeable): boolean =>
  seen.status === 'deletion_failed' && seen.cleanup.claimId !== undefined;

async function purgeRecords(
  deps: PurgeDeps,
  scope: Scope,
  context: CallContext,
  onProgress?: () => void,
): Promise<PurgeCounts> {
  const counts: PurgeCounts = { deleted: 0, skipped: 0 };
  const purgeEach = async (seen: Purgeable) => {
    const written = !isClaimed(seen) && (await purgeOne(deps, scope, seen, context));
    counts[written ? 'deleted' : 'skipped']++;
    onProgress?.();
  };
  const { failed } = await workOff(purgeable(deps, scope, context), purgeEach, {
    // What cannot be undone goes one by one.
    atOnce: 1,
    signal: context.signal,
    onFailure: ({ id }, error) => deps.onFailure(id, error),
  });
  return { ...counts, ...(failed > 0 && { failed }) };
}

async function purgeOne(
  { guard, store, clock }: PurgeDeps,
  { event: name }: Scope,
  seen: Purgeable,
  context: CallContext,
): Promise<boolean> {
  const action = 'row_purge';
  const { id, status, generation } = seen;
  context.assertHeld?.();
  const guarded = await guard.run(
    { action, entity: id, generation, task: action, args: { sandbox_id: id, status, by: name } },
    (signal) => {
      const next = purge(seen, clock.nowMs());
      return store.write({ seen, next, event: eventOf(seen, next, name, context) }, signal);
    },
    { signal: context.signal, logAs: (written) => (written ? 'executed' : undefined) },
  );
  return guarded.outcome === 'executed' && guarded.result;
}

async function countPurgeable(
  deps: PurgeDeps,
  scope: Scope,
  context: CallContext,
  onProgress?: () => void,
): Promise<number> {
  let count = 0;
  for await (const seen of purgeable(deps, scope, context)) {
    if (!isClaimed(seen)) count++;
    onProgress?.();
  }
  return count;
}
