import type { Description, Sandbox } from './sandbox.ts';
import { describe, markStale, restore, revive } from './transitions.ts';

/** One sandbox as the provider lists it. */
export interface InventoryItem extends Description {
  sandboxId: string;
}

/** What a complete listing asks of one record: a write, or nothing. */
export type Verdict =
  | { type: 'describe' | 'restore' | 'revive' | 'mark_stale'; next: Sandbox; action: string }
  | { type: 'leave' };

/**
 * Clocks of two replicas may differ by this much: what happened so close to the start of a listing cannot be told from
 * what happened after it, so the record is left alone and the next sync decides.
 */
export const CLOCK_SKEW_ALLOWANCE_MS = 10_000;

/** The first entry for each id, and how many later ones were dropped. */
export function dedupe(items: InventoryItem[]): { byId: Map<string, InventoryItem>; duplicates: number } {
  const byId = new Map<string, InventoryItem>();
  for (const item of items) {
    if (!byId.has(item.sandboxId)) byId.set(item.sandboxId, item);
  }
  return { byId, duplicates: items.length - byId.size };
}

/**
 * Judges one record against a complete listing.
 *
 *     ──── record written ──┊── listing starts ──── listing ends ──── now
 *                           ┊◀ allowance ▶
 * Only a record written left of the dotted line is judged missing or reborn: anything later may postdate the listing.
 */
export function judge(
  record: Sandbox,
  listed: InventoryItem | undefined,
  listingStartedAtMs: number,
  nowMs: number,
): Verdict {
  const settledBefore = listingStartedAtMs - CLOCK_SKEW_ALLOWANCE_MS;
  if (!listed) {
    return record.status === 'available' && record.updatedAtMs < settledBefore
      ? { type: 'mark_stale', next: markStale(record, nowMs), action: 'sync_missing' }
      : { type: 'leave' };
  }
  if (record.status === 'deleted') {
    return record.deletedAtMs < settledBefore
      ? { type: 'revive', next: revive(record, listed, nowMs), action: 'sync_revived' }
      : { type: 'leave' };
  }
  if (record.status === 'stale') {
    return { type: 'restore', next: restore(record, listed, nowMs), action: 'sync_restored' };
  }
  return sameDescription(record, listed)
    ? { type: 'leave' }
    : { type: 'describe', next: describe(record, listed, nowMs), action: 'sync_updated' };
}

/** True for a record whose absence from a listing speaks against the listing (what is being deleted may be gone). */
export const isExpected = (record: Sandbox): boolean =>
  record.status === 'available' || record.status === 'allocated';

function sameDescription(a: Description, b: Description): boolean {
  if (a.name !== b.name || a.externalId !== b.externalId) return false;
  const keys = Object.keys(a.metadata);
  return (
    keys.length === Object.keys(b.metadata).length && keys.every((key) => a.metadata[key] === b.metadata[key])
  );
}
