import { eventOf } from '../../domain/event.ts';
import { judge } from '../../domain/inventory.ts';
import type { LeavingSandbox } from '../../domain/sandbox.ts';
import { lookLater } from '../../domain/transitions.ts';
import { ProviderError } from '../../provider/provider.ts';
import { BreakerOpenError } from '../../safety/index.ts';
import type { Change } from '../../store/sandboxes/changes.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import type { RaiseAlert } from '../alert.ts';
import type { CallContext } from '../context.ts';
import {
  alertStillListed,
  type Listing,
  type ListingDeps,
  listInventory,
  stillMissing,
} from '../inventory/list-inventory.ts';

export interface LookForLeavingDeps extends ListingDeps {
  store: Pick<SandboxStore, 'writeAll'>;
  alert: RaiseAlert;
  /** What was found out of a sandbox could not be written; it is looked for again. */
  onFailure: (sandboxId: string, error: unknown) => void;
}

/** What became of sandboxes whose delete was accepted. */
export interface LeavingCounts {
  /** Seen gone. */
  deleted: number;
  /** Listed still: looked for again later. */
  accepted: number;
  /** Listed for so long that they are to be deleted again. */
  still_listed: number;
  /** Left as they are: the provider could not be asked, or somebody else was faster. */
  skipped: number;
}

export type LookForLeaving = (
  leaving: LeavingSandbox[],
  context: CallContext,
  onProgress?: () => void,
) => Promise<LeavingCounts>;

/** Looks, with one listing for all of them, whether sandboxes are gone whose delete the provider has accepted. */
export function lookForLeaving(deps: LookForLeavingDeps): LookForLeaving {
  return async (leaving, context, onProgress) => {
    const counts: LeavingCounts = { deleted: 0, accepted: 0, still_listed: 0, skipped: 0 };
    if (leaving.length === 0) return counts;
    let changes: Awaited<ReturnType<typeof compare>>;
    try {
      const listing = await listInventory(deps, context.signal, onProgress);
      changes = await compare(deps, leaving, listing, context, onProgress);
    } catch (error) {
      // They stay due. A listing that fails is the sync's to tell of; the deletes of this run are not held up by it.
      if (!(error instanceof ProviderError || error instanceof BreakerOpenError)) throw error;
      return { ...counts, skipped: leaving.length };
    }
    const { gone, stillListed, waiting } = changes;
    const written = new Set<Change>();
    await deps.store.writeAll([...gone, ...stillListed, ...waiting], {
      signal: context.signal,
      assertHeld: context.assertHeld,
      onSettled: (change, isWritten) => void (isWritten && written.add(change)),
      onFailure: ({ next }, error) => deps.onFailure(next.id, error),
    });
    context.signal.throwIfAborted();
    counts.deleted = gone.filter((change) => written.has(change)).length;
    const again = stillListed.filter((change) => written.has(change));
    counts.still_listed = again.length;
    counts.accepted = waiting.filter((change) => written.has(change)).length;
    counts.skipped = leaving.length - counts.deleted - counts.still_listed - counts.accepted;
    alertStillListed(
      deps.alert,
      'cleanup',
      again.map(({ next }) => next.id),
    );
    return counts;
  };
}

async function compare(
  deps: LookForLeavingDeps,
  leaving: LeavingSandbox[],
  { items, startedAtMs }: Listing,
  context: CallContext,
  onProgress?: () => void,
): Promise<Record<'gone' | 'stillListed' | 'waiting', Change[]>> {
  const nowMs = deps.clock.nowMs();
  const missing: (Change & { id: string })[] = [];
  const stillListed: Change[] = [];
  for (const seen of leaving) {
    const verdict = judge(seen, items.get(seen.id), startedAtMs, nowMs);
    if (verdict.type !== 'see_gone' && verdict.type !== 'delete_again') continue;
    const { next, action } = verdict;
    if (verdict.type === 'see_gone') {
      missing.push({ id: seen.id, seen, next, event: eventOf(seen, next, action, context, verdict.detail) });
    } else {
      stillListed.push({ seen, next, event: eventOf(seen, next, action, context) });
    }
  }
  const gone = await stillMissing(deps, missing, context.signal, onProgress);
  const settled = new Set([...gone, ...stillListed].map(({ next }) => next.id));
  const waiting = leaving
    .filter(({ id }) => !settled.has(id))
    .map((seen): Change => ({ seen, next: lookLater(seen, nowMs) }));
  return { gone, stillListed, waiting };
}
