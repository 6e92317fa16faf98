import { assertNever, BrokerError } from '../../domain/errors.ts';
import { isOver } from '../../domain/lease.ts';
import type { AllocatedSandbox, Sandbox } from '../../domain/sandbox.ts';
import { notOwner } from '../change-sandbox.ts';

/** Who speaks of which lease. */
export interface LeaseClaim {
  sandboxId: string;
  holder: string;
  /** Only this one; absent: whichever the holder has of the sandbox. */
  leaseId?: string | undefined;
}

/**
 * The sandbox as its holder's, whose lease is running. Throws `LEASE_OVER` for a lease that is over by time or ended, as
 * far as the record remembers it, and `NOT_SANDBOX_OWNER` for anybody else. Who got it while it waited, and was not told of
 * that yet, speaks of a lease that it had before.
 */
export function heldLease(seen: Sandbox, claim: LeaseClaim, nowMs: number): AllocatedSandbox {
  if (holderOf(seen) !== claim.holder) throw notOwner(claim.sandboxId);
  const isRunning =
    seen.status === 'allocated' && seen.lease.collectBy === undefined && !isOver(seen.lease, nowMs);
  if (isRunning && (claim.leaseId ?? seen.lease.leaseId) === seen.lease.leaseId) return seen;
  throw leaseOver();
}

/** Who has it, or had it last. */
function holderOf(seen: Sandbox): string | undefined {
  switch (seen.status) {
    case 'allocated':
    case 'pending_deletion':
    case 'deletion_failed':
    case 'quarantined':
    case 'deleted':
      return seen.lease?.holder;
    case 'available':
    case 'cooling':
      return seen.released?.holder;
    case 'stale':
      return undefined;
    default:
      return assertNever(seen);
  }
}

export const leaseOver = () =>
  new BrokerError('LEASE_OVER', 'The lease is over, and is not to be had back: allocate anew.');
