import type { Lease } from './lease.ts';

export const SANDBOX_STATUSES = [
  'available',
  'allocated',
  'pending_deletion',
  'deletion_failed',
  'stale',
  'cooling',
  'quarantined',
  'deleted',
] as const;
export type SandboxStatus = (typeof SANDBOX_STATUSES)[number];

/** The statuses that count as part of the pool: everything but the tombstone. */
export const POOL_STATUSES = [
  'available',
  'allocated',
  'pending_deletion',
  'deletion_failed',
  'stale',
  'cooling',
  'quarantined',
] as const;
export type PoolStatus = (typeof POOL_STATUSES)[number];

export const isPoolStatus = (status: string): status is PoolStatus =>
  POOL_STATUSES.some((each) => each === status);

/** Leased, or on its way to be cleaned: it has an end, and is found by that. */
const IN_USE = ['allocated', 'pending_deletion'] as const satisfies readonly SandboxStatus[];
export type InUseStatus = (typeof IN_USE)[number];
/** The statuses whose sandboxes stay, and are found by their status. */
export type ListedStatus = Exclude<SandboxStatus, InUseStatus>;

export const isInUse = (status: SandboxStatus): status is InUseStatus =>
  IN_USE.some((each) => each === status);

/** What the provider says about a sandbox; a sync may change it at any time, whatever the status. */
export interface Description {
  name: string;
  externalId: string;
  /** The provider's other attributes, such as `sfdc_account_id`. */
  metadata: Record<string, string>;
}

interface Base extends Description {
  id: string;
  /**
   * Bumped by every write to the record and part of every condition: the loser of a race sees another generation,
   * reads again and decides again. It starts at the epoch seconds of the record's creation, so that a record that is
   * born again after its tombstone lapsed never repeats one (its history is keyed by it).
   */
  generation: number;
  /** Epoch milliseconds. */
  createdAtMs: number;
  /** Epoch milliseconds of the last write. */
  updatedAtMs: number;
}

/** The state of getting rid of a used sandbox. Times are epoch milliseconds. */
export interface Cleanup {
  /** Epoch seconds of the mark or the expiry. */
  requestedAt: number;
  /**
   * Nobody has set out to delete it: the claim of the first who does is all the record that takes. Whatever writes the
   * cleanup anew leaves it out, an earlier version too; then a record of the effect is kept, and in doubt the provider asked.
   */
  untried?: true | undefined;
  /** How often a cleaner has set out to delete it, crashes included. */
  attempts: number;
  /** How often the provider refused. */
  retries: number;
  /** When a cleaner may take it; absent once the retries are used up (parked: it waits for an operator). */
  dueMs?: number | undefined;
  /** A cleaner at work. `dueMs` is the end of its claim; after that another may take over. */
  claimId?: string | undefined;
  /** No delete is due but a look: `dueMs` is when to see whether the provider still lists it. */
  farewell?: Farewell | undefined;
  /** Why the last attempt failed: a provider error's kind, never its text. */
  lastError?: string | undefined;
  /** The answer to the last delete never came: until then it may be under way at the provider, and no other is sent. */
  mayRunUntilMs?: number | undefined;
}

/** A deletion that has been said to happen, and has not been seen to have happened. */
export interface Farewell {
  /** Epoch milliseconds. What a listing that began before says of its absence counts for nothing. */
  sinceMs: number;
  /** What is true once it is seen gone: the provider's word for it, or nobody's. */
  reason: 'destroyed' | 'already_gone';
}

export interface AvailableSandbox extends Base {
  status: 'available';
  /** Who gave it back before it was recycled: that holder may repeat its mark and is told that it is done. */
  released?: { holder: string; requestedAt: number } | undefined;
}
/** Clean, and not to be leased before its time. */
export interface CoolingSandbox extends Base {
  status: 'cooling';
  /** Epoch milliseconds. */
  coolUntilMs: number;
  released?: AvailableSandbox['released'];
}
export interface AllocatedSandbox extends Base {
  status: 'allocated';
  lease: Lease;
  /** It is not to be given away again: when its lease ends, it goes into quarantine. */
  quarantine?: Quarantine | undefined;
}
export interface PendingSandbox extends Base {
  status: 'pending_deletion';
  lease: Lease;
  cleanup: Cleanup;
}
/** One whose delete the provider has accepted: it is gone when a later listing lacks it. */
export interface LeavingSandbox extends PendingSandbox {
  cleanup: Cleanup & { farewell: Farewell };
}
export interface FailedSandbox extends Base {
  status: 'deletion_failed';
  lease: Lease;
  cleanup: Cleanup;
}
export interface StaleSandbox extends Base {
  status: 'stale';
  /** Epoch milliseconds. */
  staleSinceMs: number;
  /** It was cooling down: not free before then, epoch milliseconds. */
  coolUntilMs?: number | undefined;
}
/** Why a sandbox is kept out of the pool, in the words of who asked for it, and since when. */
export interface Quarantine {
  reason: string;
  /** Epoch milliseconds. */
  sinceMs: number;
  /** Its holder has reported it as broken, and has got another sandbox, or a place in the line, for it: `replaced`. */
  report?: 'plain' | 'replaced' | undefined;
}

/** Kept out of the pool until an operator restores it: neither leased nor deleted, whatever the provider lists. */
export interface QuarantinedSandbox extends Base {
  status: 'quarantined';
  quarantine: Quarantine;
  /** Since when complete listings lack it, epoch milliseconds. */
  missingSinceMs?: number | undefined;
  /** It was cooling down: not free before then, epoch milliseconds. */
  coolUntilMs?: number | undefined;
  /** Both only of a used one: it is cleaned before it is free again. Nothing is due as long as it is here. */
  lease?: Lease | undefined;
  cleanup?: Cleanup | undefined;
}

/**
 * A tombstone: the record of something that is gone by the provider's word or an operator's. Never leased. That of a used
 * sandbox stays until a listing has lacked it, and is dropped by TTL then.
 */
export interface DeletedSandbox extends Base {
  status: 'deleted';
  /** Epoch milliseconds of the end of the deletion. */
  deletedAtMs: number;
  /** How it went: `purged` means that only the record was removed, by an operator or the stale purge. */
  reason: 'destroyed' | 'already_gone' | 'purged';
  /** Epoch milliseconds at which a complete listing that began after its burial was known to lack it; absent: not yet. */
  seenGoneMs?: number | undefined;
  /** The last lease, where there was one: its holder may ask again and is told that it is done. */
  lease?: Lease | undefined;
  cleanup?: Cleanup | undefined;
}

export type Sandbox =
  | AvailableSandbox
  | CoolingSandbox
  | AllocatedSandbox
  | PendingSandbox
  | FailedSandbox
  | StaleSandbox
  | QuarantinedSandbox
  | DeletedSandbox;

/** The record after a change: what every status has, and `fields` of the new one. */
export const next = <T extends Sandbox>(seen: Sandbox, nowMs: number, fields: Omit<T, keyof Common>): T =>
  ({
    id: seen.id,
    name: seen.name,
    externalId: seen.externalId,
    metadata: seen.metadata,
    createdAtMs: seen.createdAtMs,
    updatedAtMs: nowMs,
    generation: seen.generation + 1,
    ...fields,
  }) as T;

type Common = Omit<AvailableSandbox, 'status' | 'released'>;
