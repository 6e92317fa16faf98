import { askedFor, dueAtOnce, settled } from './cleanup.ts';
import { freeAfter } from './cooldown.ts';
import { assertNever } from './errors.ts';
import {
  type AllocatedSandbox,
  type AvailableSandbox,
  type Cleanup,
  type CoolingSandbox,
  type FailedSandbox,
  next,
  type PendingSandbox,
  type Quarantine,
  type QuarantinedSandbox,
  type StaleSandbox,
} from './sandbox.ts';
import { goOn, makeFree, requestDeletion } from './transitions.ts';

/*
 * Out of the pool without being deleted, until an operator restores it:
 *
 *   available, cooling, stale ──────────────────┐                    ┌─ unused ─▶ as before; stale while it is not listed
 *   pending_deletion, deletion_failed ──────────┼──▶ quarantined ────┤
 *   allocated ── marked, until its lease ends ──┘                    └─ used ───▶ pending_deletion
 */

/** What may be taken out of the pool. */
export type Quarantinable =
  | AvailableSandbox
  | CoolingSandbox
  | StaleSandbox
  | AllocatedSandbox
  | PendingSandbox
  | FailedSandbox;

/** A delete of it is on its way, or may be: what is kept now would be gone. */
export const isBeingDeleted = ({ cleanup }: PendingSandbox | FailedSandbox, nowMs: number): boolean =>
  cleanup.farewell !== undefined ||
  (cleanup.claimId !== undefined && (cleanup.dueMs ?? 0) > nowMs) ||
  (cleanup.mayRunUntilMs ?? 0) > nowMs;

/** Out of the pool; a lease that it has is over. */
export function quarantine(seen: Quarantinable, quarantine: Quarantine, nowMs: number): QuarantinedSandbox {
  const fields = { status: 'quarantined', quarantine } as const;
  switch (seen.status) {
    case 'available':
      return next<QuarantinedSandbox>(seen, nowMs, fields);
    case 'stale':
      return next<QuarantinedSandbox>(seen, nowMs, {
        ...fields,
        missingSinceMs: seen.staleSinceMs,
        ...(seen.coolUntilMs !== undefined && { coolUntilMs: seen.coolUntilMs }),
      });
    case 'cooling':
      return next<QuarantinedSandbox>(seen, nowMs, { ...fields, coolUntilMs: seen.coolUntilMs });
    case 'allocated': {
      // Whoever was never told of its lease has not used it.
      if (seen.lease.collectBy !== undefined) return next<QuarantinedSandbox>(seen, nowMs, fields);
      const cleanup = atRest(askedFor(nowMs));
      return next<QuarantinedSandbox>(seen, nowMs, { ...fields, lease: seen.lease, cleanup });
    }
    case 'pending_deletion':
    case 'deletion_failed':
      return next<QuarantinedSandbox>(seen, nowMs, {
        ...fields,
        lease: seen.lease,
        cleanup: atRest(seen.cleanup),
      });
    default:
      return assertNever(seen);
  }
}

/** Kept as it is: whether anybody has set out to delete it, too. */
const atRest = (cleanup: Cleanup): Cleanup => ({ ...settled(cleanup), ...untriedOf(cleanup) });
const untriedOf = ({ untried }: Cleanup) => untried && { untried };

/** Its lease goes on, and is its last before an operator has looked at it. */
export const quarantineAfterLease = (
  seen: AllocatedSandbox,
  quarantine: Quarantine,
  nowMs: number,
): AllocatedSandbox => ({ ...goOn(seen, seen.lease, nowMs), quarantine });

/** It is to be given away again like any other when its lease ends. */
export function callOffQuarantine(seen: AllocatedSandbox, nowMs: number): AllocatedSandbox {
  const { quarantine: _quarantine, ...rest } = goOn(seen, seen.lease, nowMs);
  return rest;
}

/** The holder gives it back, the lease ran out, or an operator takes it. */
export const endLease = (seen: AllocatedSandbox, nowMs: number): PendingSandbox | QuarantinedSandbox =>
  seen.quarantine ? quarantine(seen, seen.quarantine, nowMs) : requestDeletion(seen, nowMs);

/** Nobody came for a lease that a place in the line got, and nobody has seen the sandbox. */
export const passOn = (seen: AllocatedSandbox, nowMs: number): AvailableSandbox | QuarantinedSandbox =>
  seen.quarantine ? quarantine(seen, seen.quarantine, nowMs) : makeFree(seen, nowMs);

/**
 * Back to where it would be. A used one is cleaned first, when what was sent to delete it before is surely over; one that
 * the provider does not list is as stale as if it had been in the pool all along.
 */
export function restoreToPool(
  seen: QuarantinedSandbox,
  nowMs: number,
): AvailableSandbox | CoolingSandbox | StaleSandbox | PendingSandbox {
  const { lease, cleanup, missingSinceMs, coolUntilMs } = seen;
  if (lease && cleanup) {
    return next<PendingSandbox>(seen, nowMs, {
      status: 'pending_deletion',
      lease,
      cleanup: {
        ...dueAtOnce(cleanup.requestedAt, Math.max(nowMs, cleanup.mayRunUntilMs ?? 0)),
        ...untriedOf(cleanup),
      },
    });
  }
  if (missingSinceMs === undefined) return freeAfter(seen, coolUntilMs, nowMs);
  return next<StaleSandbox>(seen, nowMs, {
    status: 'stale',
    staleSinceMs: missingSinceMs,
    ...(coolUntilMs !== undefined && { coolUntilMs }),
  });
}

/** Complete listings lack it. */
export const noteMissing = (seen: QuarantinedSandbox, nowMs: number): QuarantinedSandbox => ({
  ...seen,
  generation: seen.generation + 1,
  updatedAtMs: nowMs,
  missingSinceMs: nowMs,
});
