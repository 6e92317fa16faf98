import type { Lease, LeaseTerms } from './lease.ts';
import type { Sandbox } from './sandbox.ts';
import { allocate, create, failDeletion, markStale, requestDeletion } from './transitions.ts';

/** A sandbox as the Python broker's table has it. Times are epoch seconds. */
export interface OldRecord {
  sandboxId: string;
  name: string;
  externalId: string;
  status: string;
  holder?: string | undefined;
  lab?: string | undefined;
  allocatedAt?: number | undefined;
  expiresAt?: number | undefined;
  deletionRequestedAt?: number | undefined;
  deletionRetries?: number | undefined;
  /** The provider's other attributes; the next sync completes them. */
  metadata: Record<string, string>;
}

export interface TranslationTerms {
  nowMs: number;
  /** For a lease whose end is not in its record, and for the grace after it. */
  terms: LeaseTerms;
  leaseId: string;
  /** Where a holder's idempotency key lives. */
  keyPkOf: (holder: string) => string;
}

/** Stands for the holder of something that was given back by nobody knows whom. */
export const UNKNOWN_HOLDER = 'unknown-before-migration';

/**
 * The record this broker would have, or the reason why there is none: what is not understood is never guessed, because
 * a sandbox in use that is taken for a free one would be leased twice.
 */
export function translate(
  old: OldRecord,
  terms: TranslationTerms,
): { sandbox: Sandbox } | { problem: string } {
  const { nowMs } = terms;
  const free = create(
    old.sandboxId,
    { name: old.name, externalId: old.externalId, metadata: old.metadata },
    nowMs,
  );
  switch (old.status) {
    case 'available':
      return { sandbox: free };
    case 'stale':
      return { sandbox: markStale(free, nowMs) };
    case 'allocated': {
      const { holder, allocatedAt } = old;
      if (holder === undefined) return { problem: 'is allocated to nobody' };
      if (allocatedAt === undefined) return { problem: 'was allocated, and does not say when' };
      return { sandbox: allocate(free, leaseOf({ ...old, holder, allocatedAt }, terms), nowMs) };
    }
    case 'pending_deletion':
    case 'deletion_failed': {
      const requestedAt = old.deletionRequestedAt ?? Math.floor(nowMs / 1000);
      const holder = old.holder ?? UNKNOWN_HOLDER;
      const allocatedAt = old.allocatedAt ?? requestedAt;
      const leased = allocate(free, leaseOf({ ...old, holder, allocatedAt }, terms), nowMs);
      const due = requestDeletion(leased, nowMs);
      const pending = { ...due, cleanup: { ...due.cleanup, requestedAt } };
      if (old.status === 'pending_deletion') return { sandbox: pending };
      const failed = failDeletion(pending, 'before_migration', { dueMs: nowMs, counts: true }, nowMs);
      return {
        sandbox: { ...failed, cleanup: { ...failed.cleanup, retries: old.deletionRetries ?? 0 } },
      };
    }
    default:
      return { problem: `has the status "${old.status}", which this broker does not know` };
  }
}

function leaseOf(
  old: OldRecord & { holder: string; allocatedAt: number },
  { terms, leaseId, keyPkOf }: TranslationTerms,
): Lease {
  const expiresAt = old.expiresAt ?? old.allocatedAt + terms.leaseSeconds;
  return {
    leaseId,
    holder: old.holder,
    ...(old.lab !== undefined && { lab: old.lab }),
    allocatedAt: old.allocatedAt,
    expiresAt,
    reclaimAt: expiresAt + terms.bufferSeconds,
    idempotencyPk: keyPkOf(old.holder),
  };
}
