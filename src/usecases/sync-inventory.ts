import type { Clock } from '../clock.ts';
import { eventOf } from '../domain/event.ts';
import { dedupe, type InventoryItem, isExpected, judge } from '../domain/inventory.ts';
import { create } from '../domain/transitions.ts';
import type { Provider } from '../provider/provider.ts';
import { everywhere, type SandboxReads } from '../store/reads.ts';
import type { Change, SandboxStore } from '../store/sandboxes.ts';
import type { RaiseAlert } from './alert.ts';
import type { CallContext } from './context.ts';

export interface SyncDeps {
  provider: Pick<Provider, 'listSandboxes'>;
  store: Pick<SandboxStore, 'writeAll'>;
  reads: SandboxReads;
  clock: Clock;
  /** The largest share of the expected sandboxes, 0 to 1, that may be missing before the listing is not believed. */
  maxStaleRatio: number;
  alert: RaiseAlert;
}

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
  unchanged: number;
  /** Changes that were dropped because somebody else changed the record meanwhile; the next run decides. */
  skipped: number;
  /** Missing ones that were not marked stale because too many were missing at once. */
  stale_refused: number;
  duplicates: number;
  invalid: number;
}

/**
 * Brings the pool in step with the provider's inventory. Touches descriptions and free sandboxes only, never a lease;
 * an unchanged inventory costs no write. Throws a `ProviderError` when the listing failed: nothing was changed then.
 */
export function syncInventory(deps: SyncDeps) {
  return async (
    options: { force: boolean },
    context: CallContext,
    onProgress?: (progress?: { done: number; total: number }) => void,
  ): Promise<SyncCounts> => {
    const listingStartedAtMs = deps.clock.nowMs();
    const inventory = await deps.provider.listSandboxes(context.signal, onProgress);
    onProgress?.();
    const { byId, duplicates } = dedupe(inventory.items);
    const plan = await compare(deps, byId, listingStartedAtMs, context, onProgress);
    const staleRefused = options.force ? 0 : refuseShrinking(deps, plan, byId.size);
    if (staleRefused > 0) plan.mark_stale = [];

    const planned =
      plan.create.length +
      plan.describe.length +
      plan.restore.length +
      plan.revive.length +
      plan.mark_stale.length;
    let done = 0;
    const apply = async (changes: Change[]) => {
      let written = 0;
      for (let start = 0; start < changes.length; start += STEP) {
        context.signal.throwIfAborted();
        const step = changes.slice(start, start + STEP);
        written += (await deps.store.writeAll(step, context.signal)).length;
        done += step.length;
        onProgress?.({ done, total: planned });
      }
      return written;
    };
    const counts = {
      listed: byId.size,
      created: await apply(plan.create),
      updated: await apply(plan.describe),
      restored: await apply(plan.restore),
      revived: await apply(plan.revive),
      stale: await apply(plan.mark_stale),
      unchanged: plan.unchanged,
      stale_refused: staleRefused,
      duplicates,
      invalid: inventory.invalid,
    };
    const written = counts.created + counts.updated + counts.restored + counts.revived + counts.stale;
    return { ...counts, skipped: planned - written };
  };
}

/** Changes between two looks at the signal. */
const STEP = 330;

interface Plan {
  create: Change[];
  describe: Change[];
  restore: Change[];
  revive: Change[];
  mark_stale: Change[];
  unchanged: number;
  /** Records that a listing is expected to have, and how many of them it lacked. */
  expected: number;
  missing: number;
}

/** Holds every record against the listing. What is listed and has no record is new. */
async function compare(
  { reads, clock }: SyncDeps,
  listed: Map<string, InventoryItem>,
  listingStartedAtMs: number,
  context: CallContext,
  onProgress?: () => void,
): Promise<Plan> {
  const plan: Plan = {
    create: [],
    describe: [],
    restore: [],
    revive: [],
    mark_stale: [],
    unchanged: 0,
    expected: 0,
    missing: 0,
  };
  const unknown = new Map(listed);
  const nowMs = clock.nowMs();
  const pages = everywhere(reads.buckets, async (place) => {
    const page = await reads.all(place, context.signal);
    onProgress?.();
    return page;
  });
  for await (const record of pages) {
    const item = listed.get(record.id);
    unknown.delete(record.id);
    if (isExpected(record)) {
      plan.expected++;
      if (!item) plan.missing++;
    }
    const verdict = judge(record, item, listingStartedAtMs, nowMs);
    if (verdict.type === 'leave') {
      if (item) plan.unchanged++;
      continue;
    }
    // A new description is no change of status and makes no history.
    const event =
      verdict.type === 'describe' ? undefined : eventOf(record, verdict.next, verdict.action, context);
    plan[verdict.type].push({ seen: record, next: verdict.next, event });
  }
  for (const item of unknown.values()) {
    const { sandboxId, ...description } = item;
    const next = create(sandboxId, description, nowMs);
    plan.create.push({ seen: undefined, next, event: eventOf(undefined, next, 'sync_created', context) });
  }
  return plan;
}

/**
 * How many stale marks to refuse: all of them when more of the expected sandboxes are missing than the ratio allows.
 * Leased ones count too, because a listing that lacks them is not to be believed about the free ones either.
 */
function refuseShrinking({ maxStaleRatio, alert }: SyncDeps, plan: Plan, listed: number): number {
  if (plan.mark_stale.length === 0 || plan.missing <= maxStaleRatio * plan.expected) return 0;
  alert({
    task: 'sync',
    reason: 'shrink_guard',
    severity: 'critical',
    context: { missing: plan.missing, expected: plan.expected, listed, max_stale_ratio: maxStaleRatio },
  });
  return plan.mark_stale.length;
}
