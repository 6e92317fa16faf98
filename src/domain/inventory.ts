import { noteMissing } from './quarantine.ts';
import type {
  DeletedSandbox,
  Description,
  LeavingSandbox,
  QuarantinedSandbox,
  Sandbox,
  StaleSandbox,
} from './sandbox.ts';
import {
  deleteAgain,
  describe,
  markStale,
  restore,
  revive,
  seeGone,
  type UsedTombstone,
} from './transitions.ts';

/** One sandbox as the provider lists it. */
export interface InventoryItem extends Description {
  sandboxId: string;
}

/** What a complete listing asks of one record. */
export type Verdict =
  | { type: 'describe' | 'restore' | 'revive' | 'delete_again'; next: Sandbox; action: string }
  /** For what it lacks, and holds only if another listing lacks it, too: pages shift while something is removed. */
  | { type: 'mark_stale' | 'note_missing' | 'see_gone'; next: Sandbox; action: string; detail?: string }
  /** Nothing is to be done. `recent`: a later listing may tell otherwise. `still_listed`: said to be gone, and is not. */
  | { type: 'leave' | 'recent' | 'still_listed' };

/**
 * Clocks of two replicas may differ by this much: what happened so close to the start of a listing cannot be told from
 * what happened after it, so the record is left alone and the next sync decides.
 */
export const CLOCK_SKEW_ALLOWANCE_MS = 10_000;

/** What is listed for so long after its deletion was not deleted, whatever the provider says, milliseconds. */
export const STILL_LISTED_LIMIT_MS = 3_600_000;

/**
 * Judges one record against a complete listing.
 *
 *     ──── record written ──┊── listing starts ──── listing ends ──── now
 *                           ┊◀ allowance ▶
 * Only a record written left of the dotted line is judged missing, gone or reborn: anything later may postdate the
 * listing.
 */
export function judge(
  record: Sandbox,
  listed: InventoryItem | undefined,
  listingStartedAtMs: number,
  nowMs: number,
  cooldownMs = 0,
): Verdict {
  const settledBefore = listingStartedAtMs - CLOCK_SKEW_ALLOWANCE_MS;
  if (!listed) return judgeAbsent(record, settledBefore, nowMs);
  if (record.status === 'deleted')
    return judgeBuried(record, listed, { listingStartedAtMs, nowMs, cooldownMs });
  if (record.status === 'stale') return judgeStale(record, listed, listingStartedAtMs, nowMs);
  if (isLeaving(record) && isOverdue(record.cleanup.farewell.sinceMs, listingStartedAtMs)) {
    const next = deleteAgain(record, listed, nowMs);
    return { type: 'delete_again', next, action: 'cleanup_still_listed' };
  }
  return sameDescription(record, listed) && !isBackAgain(record, listingStartedAtMs)
    ? { type: 'leave' }
    : { type: 'describe', next: describe(record, listed, nowMs), action: 'sync_updated' };
}

function judgeAbsent(record: Sandbox, settledBefore: number, nowMs: number): Verdict {
  if (record.status === 'available' || record.status === 'cooling') {
    return record.updatedAtMs < settledBefore
      ? { type: 'mark_stale', next: markStale(record, nowMs), action: 'sync_missing' }
      : { type: 'recent' };
  }
  if (record.status === 'quarantined') {
    if (record.missingSinceMs !== undefined) return { type: 'leave' };
    return record.updatedAtMs < settledBefore
      ? { type: 'note_missing', next: noteMissing(record, nowMs), action: 'sync_missing' }
      : { type: 'recent' };
  }
  if (isLeaving(record)) {
    // A look at it is due soon anyway.
    if (record.cleanup.farewell.sinceMs >= settledBefore) return { type: 'leave' };
    const { reason } = record.cleanup.farewell;
    return { type: 'see_gone', next: seeGone(record, nowMs), action: 'cleanup_deleted', detail: reason };
  }
  if (record.status === 'deleted' && isOfUsed(record) && record.seenGoneMs === undefined) {
    return record.deletedAtMs < settledBefore
      ? { type: 'see_gone', next: seeGone(record, nowMs), action: 'sync_gone' }
      : { type: 'recent' };
  }
  return { type: 'leave' };
}

/**
 * A tombstone whose sandbox is listed. Of what was deleted a listing speaks for a new sandbox only after another has
 * lacked it: until then it is the old one, on its way out. Where only a record was removed there is nothing to wait for.
 */
function judgeBuried(
  record: DeletedSandbox,
  listed: InventoryItem,
  { listingStartedAtMs, nowMs, cooldownMs }: Record<'listingStartedAtMs' | 'nowMs' | 'cooldownMs', number>,
): Verdict {
  const { deletedAtMs, seenGoneMs } = record;
  if (isOfUsed(record) && record.reason !== 'purged') {
    if (seenGoneMs === undefined) {
      if (!isOverdue(deletedAtMs, listingStartedAtMs)) return { type: 'still_listed' };
      return {
        type: 'delete_again',
        next: deleteAgain(record, listed, nowMs),
        action: 'sync_still_listed',
      };
    }
    if (seenGoneMs >= listingStartedAtMs - CLOCK_SKEW_ALLOWANCE_MS) return { type: 'recent' };
  }
  return { type: 'revive', next: revive(record, listed, nowMs, cooldownMs), action: 'sync_revived' };
}

/** A listing that began before the one that lacked it has nothing new to tell. */
const judgeStale = (
  record: StaleSandbox,
  listed: InventoryItem,
  listingStartedAtMs: number,
  nowMs: number,
): Verdict =>
  record.staleSinceMs > listingStartedAtMs
    ? { type: 'recent' }
    : { type: 'restore', next: restore(record, listed, nowMs), action: 'sync_restored' };

/** In quarantine it stays, whatever is listed; what is not listed cannot be given away when it is restored. */
const isBackAgain = (record: Sandbox, listingStartedAtMs: number): boolean =>
  isMissing(record) && record.missingSinceMs <= listingStartedAtMs;

const isMissing = (record: Sandbox): record is QuarantinedSandbox & { missingSinceMs: number } =>
  record.status === 'quarantined' && record.missingSinceMs !== undefined;

const isOverdue = (sinceMs: number, listingStartedAtMs: number): boolean =>
  sinceMs + STILL_LISTED_LIMIT_MS < listingStartedAtMs;

const isOfUsed = (record: DeletedSandbox): record is UsedTombstone =>
  record.lease !== undefined && record.cleanup !== undefined;

/** Its delete was accepted, and nobody has seen it gone. */
export const isLeaving = (record: Sandbox): record is LeavingSandbox =>
  record.status === 'pending_deletion' && record.cleanup.farewell !== undefined;

/** True for a record whose absence from a listing speaks against the listing (what is being deleted may be gone). */
export const isExpected = (record: Sandbox): boolean =>
  record.status === 'available' ||
  record.status === 'cooling' ||
  record.status === 'allocated' ||
  (record.status === 'quarantined' && !isMissing(record));

function sameDescription(a: Description, b: Description): boolean {
  if (a.name !== b.name || a.externalId !== b.externalId) return false;
  const keys = Object.keys(a.metadata);
  return (
    keys.length === Object.keys(b.metadata).length && keys.every((key) => a.metadata[key] === b.metadata[key])
  );
}

/** How the pool's free sandboxes stand. */
export const POOL_LEVELS = ['ok', 'low', 'empty'] as const;
export type PoolLevel = (typeof POOL_LEVELS)[number];

/** `lowWatermark`: fewer free sandboxes than this are `low`; 0: only none at all is worth a word. */
export function poolLevel(available: number, lowWatermark: number): PoolLevel {
  if (available === 0) return 'empty';
  return available < lowWatermark ? 'low' : 'ok';
}
