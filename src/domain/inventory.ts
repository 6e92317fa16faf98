import { assertNever } from './errors.ts';
import { noteMissing } from './quarantine.ts';
import type { DeletedSandbox, Description, LeavingSandbox, Sandbox, SandboxStatus } from './sandbox.ts';
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

/** The part of a record that is held against a listing. Times are epoch milliseconds. */
export interface Surveyed extends Description {
  id: string;
  status: SandboxStatus;
  updatedAtMs: number;
  staleSinceMs?: number | undefined;
  /** In quarantine. */
  missingSinceMs?: number | undefined;
  /** Its delete was accepted. */
  leavingSinceMs?: number | undefined;
  deletedAtMs?: number | undefined;
  deletedAs?: DeletedSandbox['reason'] | undefined;
  seenGoneMs?: number | undefined;
  /** It was leased before it was deleted. */
  wasUsed: boolean;
}

export const surveyOf = (record: Sandbox): Surveyed => ({
  id: record.id,
  name: record.name,
  externalId: record.externalId,
  metadata: record.metadata,
  status: record.status,
  updatedAtMs: record.updatedAtMs,
  wasUsed: record.status === 'deleted' && isOfUsed(record),
  ...(record.status === 'stale' && { staleSinceMs: record.staleSinceMs }),
  ...(record.status === 'quarantined' && { missingSinceMs: record.missingSinceMs }),
  ...(isLeaving(record) && { leavingSinceMs: record.cleanup.farewell.sinceMs }),
  ...(record.status === 'deleted' && {
    deletedAtMs: record.deletedAtMs,
    deletedAs: record.reason,
    seenGoneMs: record.seenGoneMs,
  }),
});

/** What is to be done about nothing. */
export const isNothing = (type: Verdict['type']): type is 'leave' | 'recent' | 'still_listed' =>
  type === 'leave' || type === 'recent' || type === 'still_listed';

/**
 * What a complete listing asks of one record.
 *
 *     ──── record written ──┊── listing starts ──── listing ends ──── now
 *                           ┊◀ allowance ▶
 * Only a record written left of the dotted line is judged missing, gone or reborn: anything later may postdate the
 * listing.
 */
export function ask(
  record: Surveyed,
  listed: Description | undefined,
  listingStartedAtMs: number,
): Verdict['type'] {
  if (!listed) return askAbsent(record, listingStartedAtMs - CLOCK_SKEW_ALLOWANCE_MS);
  if (record.status === 'deleted') return askBuried(record, listingStartedAtMs);
  // A listing that began before the one that lacked it has nothing new to tell.
  if (record.status === 'stale')
    return isBefore(listingStartedAtMs, record.staleSinceMs) ? 'recent' : 'restore';
  if (isOverdue(record.leavingSinceMs, listingStartedAtMs)) return 'delete_again';
  // In quarantine it stays, whatever is listed; what is not listed cannot be given away when it is restored.
  const isBackAgain =
    record.missingSinceMs !== undefined && !isBefore(listingStartedAtMs, record.missingSinceMs);
  return sameDescription(record, listed) && !isBackAgain ? 'leave' : 'describe';
}

function askAbsent(record: Surveyed, settledBefore: number): Verdict['type'] {
  switch (record.status) {
    case 'available':
    case 'cooling':
      return record.updatedAtMs < settledBefore ? 'mark_stale' : 'recent';
    case 'quarantined':
      if (record.missingSinceMs !== undefined) return 'leave';
      return record.updatedAtMs < settledBefore ? 'note_missing' : 'recent';
    case 'pending_deletion':
      // A look at it is due soon anyway.
      return isBefore(record.leavingSinceMs, settledBefore) ? 'see_gone' : 'leave';
    case 'deleted':
      if (!record.wasUsed || record.seenGoneMs !== undefined) return 'leave';
      return isBefore(record.deletedAtMs, settledBefore) ? 'see_gone' : 'recent';
    case 'allocated':
    case 'deletion_failed':
    case 'stale':
      return 'leave';
    default:
      return assertNever(record.status);
  }
}

/**
 * A tombstone whose sandbox is listed. Of what was deleted a listing speaks for a new sandbox only after another has
 * lacked it: until then it is the old one, on its way out. Where only a record was removed there is nothing to wait for.
 */
function askBuried(record: Surveyed, listingStartedAtMs: number): Verdict['type'] {
  const { deletedAtMs, seenGoneMs, deletedAs, wasUsed } = record;
  if (!wasUsed || deletedAs === 'purged') return 'revive';
  if (seenGoneMs === undefined)
    return isOverdue(deletedAtMs, listingStartedAtMs) ? 'delete_again' : 'still_listed';
  return seenGoneMs >= listingStartedAtMs - CLOCK_SKEW_ALLOWANCE_MS ? 'recent' : 'revive';
}

/** Judges one record against a complete listing: what that asks of it, and what becomes of it by that. */
export function judge(
  record: Sandbox,
  listed: InventoryItem | undefined,
  listingStartedAtMs: number,
  nowMs: number,
  cooldownMs = 0,
): Verdict {
  const type = ask(surveyOf(record), listed, listingStartedAtMs);
  switch (type) {
    case 'leave':
    case 'recent':
    case 'still_listed':
      return { type };
    case 'describe':
      if (!listed) break;
      return { type, next: describe(record, listed, nowMs), action: 'sync_updated' };
    case 'restore':
      if (!listed || record.status !== 'stale') break;
      return { type, next: restore(record, listed, nowMs), action: 'sync_restored' };
    case 'revive':
      if (!listed || record.status !== 'deleted') break;
      return { type, next: revive(record, listed, nowMs, cooldownMs), action: 'sync_revived' };
    case 'delete_again':
      if (listed && isLeaving(record))
        return { type, next: deleteAgain(record, listed, nowMs), action: 'cleanup_still_listed' };
      if (!listed || record.status !== 'deleted' || !isOfUsed(record)) break;
      return { type, next: deleteAgain(record, listed, nowMs), action: 'sync_still_listed' };
    case 'mark_stale':
      if (record.status !== 'available' && record.status !== 'cooling') break;
      return { type, next: markStale(record, nowMs), action: 'sync_missing' };
    case 'note_missing':
      if (record.status !== 'quarantined') break;
      return { type, next: noteMissing(record, nowMs), action: 'sync_missing' };
    case 'see_gone':
      if (isLeaving(record)) {
        const detail = record.cleanup.farewell.reason;
        return { type, next: seeGone(record, nowMs), action: 'cleanup_deleted', detail };
      }
      if (record.status !== 'deleted' || !isOfUsed(record)) break;
      return { type, next: seeGone(record, nowMs), action: 'sync_gone' };
    default:
      return assertNever(type);
  }
  throw new TypeError(`a listing cannot ask ${type} of one that is ${record.status}`);
}

const isBefore = (oneMs: number | undefined, otherMs: number | undefined): boolean =>
  oneMs !== undefined && otherMs !== undefined && oneMs < otherMs;

const isOverdue = (sinceMs: number | undefined, listingStartedAtMs: number): boolean =>
  sinceMs !== undefined && sinceMs + STILL_LISTED_LIMIT_MS < listingStartedAtMs;

const isOfUsed = (record: DeletedSandbox): record is UsedTombstone =>
  record.lease !== undefined && record.cleanup !== undefined;

/** Its delete was accepted, and nobody has seen it gone. */
export const isLeaving = (record: Sandbox): record is LeavingSandbox =>
  record.status === 'pending_deletion' && record.cleanup.farewell !== undefined;

/** True for a record whose absence from a listing speaks against the listing (what is being deleted may be gone). */
export const isExpected = ({
  status,
  missingSinceMs,
}: Pick<Surveyed, 'status' | 'missingSinceMs'>): boolean =>
  status === 'available' ||
  status === 'cooling' ||
  status === 'allocated' ||
  (status === 'quarantined' && missingSinceMs === undefined);

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
