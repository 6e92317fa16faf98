import { eventOf } from '../../domain/event.ts';
import { isExpected, judge, type Verdict } from '../../domain/inventory.ts';
import { noneCounted, type PoolCounts } from '../../domain/pool-counts.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import { create } from '../../domain/transitions.ts';
import type { Change } from '../../store/sandboxes/changes.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import type { RaiseAlert } from '../alert.ts';
import type { CallContext } from '../context.ts';
import { everywhere } from '../everywhere.ts';
import {
  alertStillListed,
  type Listing,
  type ListingDeps,
  listInventory,
  stillMissing,
} from './list-inventory.ts';

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
    const plan = await compare(deps, listing, context, onProgress);
    await lookAgain(deps, plan, context, onProgress);
    const staleRefused = options.force ? 0 : refuseShrinking(deps, plan, listing.byId.size);
    if (staleRefused > 0) Object.assign(plan, { mark_stale: [], note_missing: [] });

    const { failed, ...written } = await apply(deps, plan, context, onProgress);
    alertStillListed(
      deps.alert,
      'sync',
      plan.delete_again.map(({ next }) => next.id),
    );
    return {
      listed: listing.byId.size,
      ...written,
      unchanged: plan.unchanged,
      recent: plan.recent,
      still_listed: plan.still_listed,
      stale_refused: staleRefused,
      duplicates: listing.duplicates,
      invalid: listing.invalid,
      ...(failed > 0 && { failed }),
    };
  };
}

/** So many changes that failed are told of one by one. */
const NAMED = 10;

/** What is written, in this order, and what it is counted as. */
const WRITTEN = [
  ['create', 'created'],
  ['describe', 'updated'],
  ['restore', 'restored'],
  ['revive', 'revived'],
  ['mark_stale', 'stale'],
  ['note_missing', 'updated'],
  ['see_gone', 'gone'],
  ['delete_again', 'delete_again'],
] as const;
type Written = (typeof WRITTEN)[number];

/** Changes between two words about how far it has come. */
const STEP = 330;

/** Writes what is planned, and counts what became of it. */
async function apply(
  { store, onFailure }: SyncDeps,
  plan: Plan,
  { signal, assertHeld }: CallContext,
  onProgress?: (progress: { done: number; total: number }) => void,
) {
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
  const countedAs = new Map<Change, Written[1]>();
  for (const [type, name] of WRITTEN) {
    for (const change of plan[type]) countedAs.set(change, name);
  }
  let done = 0;
  const settle = (name: keyof typeof counts) => {
    counts[name]++;
    const total = countedAs.size;
    if (++done % STEP === 0 || done === total) onProgress?.({ done, total });
  };
  await store.writeAll([...countedAs.keys()], {
    signal,
    assertHeld,
    onSettled: (change, isWritten) => settle((isWritten && countedAs.get(change)) || 'skipped'),
    onFailure({ next }, error) {
      settle('failed');
      if (counts.failed <= NAMED) onFailure(next.id, error);
    },
  });
  signal.throwIfAborted();
  return counts;
}

interface Missing {
  seen: Sandbox;
  verdict: Verdict;
}

interface Plan extends Record<Written[0], Change[]> {
  unchanged: number;
  recent: number;
  still_listed: number;
  /** Records that a listing is expected to have, and how many of them it lacked. */
  expected: number;
  missing: number;
  /** All that it lacked and that is expected, or of which its absence decides. */
  lacked: Missing[];
}

/** Holds every record against the listing. What is listed and has no record is new. */
async function compare(
  { reads, clock, cooldownMs, survey }: SyncDeps,
  { byId: listed, startedAtMs }: Listing,
  context: CallContext,
  onProgress?: () => void,
): Promise<Plan> {
  const plan: Plan = {
    create: [],
    describe: [],
    restore: [],
    revive: [],
    mark_stale: [],
    note_missing: [],
    see_gone: [],
    delete_again: [],
    unchanged: 0,
    recent: 0,
    still_listed: 0,
    expected: 0,
    missing: 0,
    lacked: [],
  };
  const unknown = new Map(listed);
  const nowMs = clock.nowMs();
  const tell = survey?.();
  const counts = noneCounted();
  // Each decision is held against the record as it is when it is written: what was read may be a second old.
  const pages = everywhere(reads.buckets, async (place) => {
    const page = await reads.all({ ...place, consistent: false }, context.signal);
    onProgress?.();
    return page;
  });
  for await (const record of pages) {
    const item = listed.get(record.id);
    unknown.delete(record.id);
    if (record.status !== 'deleted') counts[record.status]++;
    const verdict = judge(record, item, startedAtMs, nowMs, cooldownMs);
    if (isExpected(record)) plan.expected++;
    if (verdict.type === 'recent') plan.recent++;
    if (verdict.type === 'still_listed') plan.still_listed++;
    if (!item) {
      if (isExpected(record) || 'next' in verdict) plan.lacked.push({ seen: record, verdict });
    } else if ('next' in verdict) add(plan, { seen: record, verdict }, context);
    else if (verdict.type === 'leave') plan.unchanged++;
  }
  await tell?.(counts);
  for (const item of unknown.values()) {
    const { sandboxId, ...description } = item;
    const next = create(sandboxId, description, nowMs);
    plan.create.push({ seen: undefined, next, event: eventOf(undefined, next, 'sync_created', context) });
  }
  return plan;
}

function add(plan: Plan, { seen, verdict }: Missing, context: CallContext): void {
  if (!('next' in verdict)) return;
  const { type, next, action } = verdict;
  const detail = 'detail' in verdict ? verdict.detail : undefined;
  // A new description, or the end of a tombstone's watch, is no change of status and makes no history.
  const isEvent = next.status !== seen.status || type === 'delete_again';
  const event = isEvent ? eventOf(seen, next, action, context, detail) : undefined;
  plan[type].push({ seen, next, event });
}

/** A second listing, where anything is to be concluded from what the first lacked: only that of both counts. */
async function lookAgain(
  deps: SyncDeps,
  plan: Plan,
  context: CallContext,
  onProgress?: () => void,
): Promise<void> {
  const isDecided = plan.lacked.some(({ verdict }) => 'next' in verdict);
  const lacked = isDecided ? await stillMissing(deps, plan.lacked, context.signal, onProgress) : plan.lacked;
  for (const each of lacked) {
    if (isExpected(each.seen)) plan.missing++;
    add(plan, each, context);
  }
}

/**
 * How many stale marks to refuse: all of them when more of the expected sandboxes are missing than the ratio allows.
 * Leased ones count too, because a listing that lacks them is not to be believed about the free ones either.
 */
function refuseShrinking({ maxStaleRatio, alert }: SyncDeps, plan: Plan, listed: number): number {
  const lacked = plan.mark_stale.length + plan.note_missing.length;
  if (lacked === 0 || plan.missing <= maxStaleRatio * plan.expected) return 0;
  alert({
    task: 'sync',
    reason: 'shrink_guard',
    severity: 'critical',
    context: { missing: plan.missing, expected: plan.expected, listed, max_stale_ratio: maxStaleRatio },
  });
  return lacked;
}
