import { eventOf } from '../../domain/event.ts';
import { type InventoryItem, judge, type Verdict } from '../../domain/inventory.ts';
import type { PoolCounts } from '../../domain/pool-counts.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import { create } from '../../domain/transitions.ts';
import type { Change } from '../../store/sandboxes/changes.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import type { RaiseAlert } from '../alert.ts';
import type { CallContext } from '../context.ts';
import { alertStillListed, type Listing, type ListingDeps, listInventory } from './list-inventory.ts';
import { type Plan, planSync, WRITTEN, type Written } from './sync-plan.ts';

export interface SyncDeps extends ListingDeps {
  store: Pick<SandboxStore, 'writeAll'>;
  reads: SandboxReads;
  /** The largest share of the expected sandboxes, 0 to 1, that may be missing before the listing is not believed. */
  maxStaleRatio: number;
  /** How long after it was cleaned a sandbox is free, milliseconds. */
  cooldownMs: number;
  alert: RaiseAlert;
  /** A change could not be written; the next run tries it again. */
  onFailure: (sandboxId: string, error: unknown) => void;
  /** The whole pool is going to be read; to be told what was there. */
  survey?: (() => Survey) | undefined;
}

/** Told how many sandboxes were in each status. Who is told decides what it is worth. */
export type Survey = (counts: PoolCounts['counts']) => Promise<void>;

export interface SyncCounts {
  /** Sandboxes the provider listed, each once. */
  listed: number;
  created: number;
  updated: number;
  /** Stale ones that are listed again. */
  restored: number;
  /** Ones with a tombstone that are listed again. */
  revived: number;
  stale: number;
  /** Deleted ones that this listing was the first to lack. */
  gone: number;
  unchanged: number;
  /** Left alone because they changed so shortly before the listing that it may be older; the next run decides. */
  recent: number;
  /** Deleted ones that are listed all the same: on their way out, as it seems. */
  still_listed: number;
  /** Of these, the ones that seem not to go and are to be deleted again. */
  delete_again: number;
  /** Changes that were dropped because somebody else changed the record meanwhile; the next run decides. */
  skipped: number;
  /** Missing ones that were not marked stale because too many were missing at once. */
  stale_refused: number;
  duplicates: number;
  invalid: number;
  /** Changes that could not be written; the next run tries them again. Only there where one failed. */
  failed?: number;
}

/**
 * Brings the pool in step with the provider's inventory. Touches descriptions and free sandboxes only, never a lease;
 * an unchanged inventory costs no write. One change that cannot be written keeps none of the others. Throws a
 * `ProviderError` when the listing failed: nothing was changed then.
 */
export function syncInventory(deps: SyncDeps) {
  return async (
    options: { force: boolean },
    context: CallContext,
    onProgress?: (progress?: { done: number; total: number }) => void,
  ): Promise<SyncCounts> => {
    const listing = await listInventory(deps, context.signal, onProgress);
    const { size: listed, duplicates } = listing.items;
    const plan = await planSync(deps, listing, context, onProgress);
    const staleRefused = options.force ? 0 : refuseShrinking(deps, plan, listed);
    if (staleRefused > 0) Object.assign(plan.changes, { mark_stale: [], note_missing: [] });

    const { failed, ...written } = await carryOut(deps, plan, listing, context, onProgress);
    alertStillListed(deps.alert, 'sync', plan.changes.delete_again);
    return {
      listed,
      ...written,
      unchanged: plan.unchanged,
      recent: plan.recent,
      still_listed: plan.still_listed,
      stale_refused: staleRefused,
      duplicates,
      invalid: listing.invalid,
      ...(failed > 0 && { failed }),
    };
  };
}

/** So many changes that failed are told of one by one. */
const NAMED = 10;

/** Changes between two words about how far it has come. */
const STEP = 330;

/** Records that are read anew at once, to be changed. */
const READ_AT_ONCE = 100;

/** Writes what is planned, and counts what became of it. */
async function carryOut(
  deps: SyncDeps,
  plan: Plan,
  listing: Listing,
  context: CallContext,
  onProgress?: (progress: { done: number; total: number }) => void,
) {
  const { signal, assertHeld } = context;
  const counts = {
    created: 0,
    updated: 0,
    restored: 0,
    revived: 0,
    stale: 0,
    gone: 0,
    delete_again: 0,
    skipped: 0,
    failed: 0,
  };
  const types = Object.keys(WRITTEN) as Written[];
  const total = types.reduce((sum, type) => sum + plan.changes[type].length, 0);
  let done = 0;
  const settle = (name: keyof typeof counts) => {
    counts[name]++;
    if (++done % STEP === 0 || done === total) onProgress?.({ done, total });
  };
  const countedAs = new WeakMap<Change, (typeof WRITTEN)[Written]>();
  async function* changes() {
    for (const type of types) {
      const ids = plan.changes[type];
      for (let start = 0; start < ids.length; start += READ_AT_ONCE) {
        const some = ids.slice(start, start + READ_AT_ONCE);
        const found = await toChanges(deps, type, some, listing, context);
        for (let lost = some.length - found.length; lost > 0; lost--) settle('skipped');
        for (const change of found) {
          countedAs.set(change, WRITTEN[type]);
          yield change;
        }
      }
    }
  }
  await deps.store.writeAll(changes(), {
    signal,
    assertHeld,
    onSettled: (change, isWritten) => settle((isWritten && countedAs.get(change)) || 'skipped'),
    onFailure({ next }, error) {
      settle('failed');
      if (counts.failed <= NAMED) deps.onFailure(next.id, error);
    },
  });
  signal.throwIfAborted();
  return counts;
}

/** What is to be written of those of `ids` of which it is still true, by their records as they are now. */
async function toChanges(
  { reads, clock, cooldownMs }: SyncDeps,
  type: Written,
  ids: readonly string[],
  { items, startedAtMs }: Listing,
  context: CallContext,
): Promise<Change[]> {
  const nowMs = clock.nowMs();
  if (type === 'create') return ids.flatMap((id) => toCreate(items.get(id), nowMs, context));
  const records = await reads.byIds(ids, context.signal);
  return records.flatMap((seen) => {
    const verdict = judge(seen, items.get(seen.id), startedAtMs, nowMs, cooldownMs);
    return 'next' in verdict && verdict.type === type ? toChange(seen, verdict, context) : [];
  });
}

function toCreate(item: InventoryItem | undefined, nowMs: number, context: CallContext): Change[] {
  if (!item) return [];
  const { sandboxId, ...description } = item;
  const next = create(sandboxId, description, nowMs);
  return [{ seen: undefined, next, event: eventOf(undefined, next, 'sync_created', context) }];
}

function toChange(seen: Sandbox, verdict: Extract<Verdict, { next: Sandbox }>, context: CallContext): Change {
  const { type, next, action } = verdict;
  const detail = 'detail' in verdict ? verdict.detail : undefined;
  // A new description, or the end of a tombstone's watch, is no change of status and makes no history.
  const isEvent = next.status !== seen.status || type === 'delete_again';
  return { seen, next, event: isEvent ? eventOf(seen, next, action, context, detail) : undefined };
}

/**
 * How many stale marks to refuse: all of them when more of the expected sandboxes are missing than the ratio allows.
 * Leased ones count too, because a listing that lacks them is not to be believed about the free ones either.
 */
function refuseShrinking({ maxStaleRatio, alert }: SyncDeps, plan: Plan, listed: number): number {
  const { mark_stale: stale, note_missing: noted } = plan.changes;
  const lacked = stale.length + noted.length;
  if (lacked === 0 || plan.missing <= maxStaleRatio * plan.expected) return 0;
  alert({
    task: 'sync',
    reason: 'shrink_guard',
    severity: 'critical',
    context: { missing: plan.missing, expected: plan.expected, listed, max_stale_ratio: maxStaleRatio },
  });
  return lacked;
}
