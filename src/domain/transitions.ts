import { askedFor, dueAtOnce, settled } from './cleanup.ts';
import { freeAfter } from './cooldown.ts';
import { heardOf, type Lease } from './lease.ts';
import {
  type AllocatedSandbox,
  type AvailableSandbox,
  type Cleanup,
  type CoolingSandbox,
  type DeletedSandbox,
  type Description,
  type FailedSandbox,
  type Farewell,
  type LeavingSandbox,
  next,
  type PendingSandbox,
  type QuarantinedSandbox,
  type Sandbox,
  type StaleSandbox,
} from './sandbox.ts';

/*
 * The lifecycle, as pure functions: each takes a record and returns the next one, with its generation bumped.
 *
 *   (listed) ──▶ available ──allocate──▶ allocated ──mark / expire / release──▶ pending_deletion
 *                 ▲  ▲  │                                                        │         │
 *         back    │  │  └─missing─▶ stale ──purge──▶ deleted ◀──cleanup done─────┘   cleanup failed
 *         again ──┘  └────────── recycled ◀──────────────────────────────────────┐         ▼
 *                                                                                └── deletion_failed
 *
 * A lease that a place in the line got and nobody collected goes back by `passOn`, without a cleanup. What leads into
 * quarantine and out of it is in `quarantine.ts`.
 */

/** The tombstone of what was used. */
export type UsedTombstone = DeletedSandbox & { lease: Lease; cleanup: Cleanup };

/** A record for something the provider lists and the table does not know. */
export function create(id: string, description: Description, nowMs: number): AvailableSandbox {
  return {
    id,
    ...description,
    status: 'available',
    generation: Math.floor(nowMs / 1000),
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  };
}

export const allocate = (
  seen: AvailableSandbox,
  lease: Omit<Lease, 'fencingToken'>,
  nowMs: number,
): AllocatedSandbox =>
  next<AllocatedSandbox>(seen, nowMs, {
    status: 'allocated',
    lease: { ...lease, fencingToken: seen.generation + 1 },
  });

/** The same lease goes on, with other times. */
export const goOn = (seen: AllocatedSandbox, lease: Lease, nowMs: number): AllocatedSandbox => ({
  ...seen,
  generation: seen.generation + 1,
  updatedAtMs: nowMs,
  lease,
});

/** The holder is told of a lease that it got while it waited: from now on it is like any other. */
export const collect = (seen: AllocatedSandbox, nowMs: number): AllocatedSandbox => {
  const { collectBy: _collectBy, ...lease } = seen.lease;
  return goOn(seen, heardOf(lease, nowMs), nowMs);
};

/** Nobody came for it, and nobody has seen it: free as it was. */
export const makeFree = (seen: AllocatedSandbox | QuarantinedSandbox, nowMs: number): AvailableSandbox =>
  next<AvailableSandbox>(seen, nowMs, { status: 'available' });

/** Its lease is over, and it was used: due for deletion at once. */
export const requestDeletion = (seen: AllocatedSandbox, nowMs: number): PendingSandbox =>
  next<PendingSandbox>(seen, nowMs, {
    status: 'pending_deletion',
    lease: seen.lease,
    cleanup: askedFor(nowMs),
  });

/** The first look for one that is leaving, and the longest time between two, milliseconds. */
const FIRST_LOOK_MS = 30_000;
const LAST_LOOK_MS = 600_000;

/** The provider has accepted the delete, or did not list it once: gone when a later listing lacks it. */
export const seeOff = (
  seen: PendingSandbox | FailedSandbox,
  reason: Farewell['reason'],
  nowMs: number,
): LeavingSandbox =>
  next<LeavingSandbox>(seen, nowMs, {
    status: 'pending_deletion',
    lease: seen.lease,
    cleanup: {
      ...settled(seen.cleanup),
      dueMs: nowMs + FIRST_LOOK_MS,
      farewell: { sinceMs: nowMs, reason },
    },
  });

/** It is listed still: the next look comes after as long again as it has been leaving, within limits. */
export const lookLater = (seen: LeavingSandbox, nowMs: number): LeavingSandbox => {
  const waitMs = Math.min(Math.max(nowMs - seen.cleanup.farewell.sinceMs, FIRST_LOOK_MS), LAST_LOOK_MS);
  return next<LeavingSandbox>(seen, nowMs, {
    status: 'pending_deletion',
    lease: seen.lease,
    cleanup: { ...seen.cleanup, dueMs: nowMs + waitMs },
  });
};

/** It was seen gone: one that was leaving is buried, and what is buried may be born again. */
export const seeGone = (seen: LeavingSandbox | UsedTombstone, nowMs: number): DeletedSandbox =>
  seen.status === 'deleted'
    ? { ...seen, generation: seen.generation + 1, updatedAtMs: nowMs, seenGoneMs: nowMs }
    : { ...bury(seen, seen.cleanup.farewell.reason, nowMs), seenGoneMs: nowMs };

/** What was said to be deleted is listed for so long that nobody believes it any more: to be deleted again. */
export const deleteAgain = (
  seen: LeavingSandbox | UsedTombstone,
  listed: Description,
  nowMs: number,
): PendingSandbox =>
  withDescription(
    next<PendingSandbox>(seen, nowMs, {
      status: 'pending_deletion',
      lease: seen.lease,
      // Asked for anew: what is known of the last delete says nothing of the next one.
      cleanup: { ...askedFor(nowMs), attempts: seen.cleanup.attempts },
    }),
    listed,
  );

/** It is gone at the provider. */
export const bury = (
  seen: PendingSandbox | FailedSandbox,
  reason: 'destroyed' | 'already_gone',
  nowMs: number,
): DeletedSandbox =>
  next<DeletedSandbox>(seen, nowMs, {
    status: 'deleted',
    deletedAtMs: nowMs,
    reason,
    lease: seen.lease,
    cleanup: settled(seen.cleanup),
  });

/**
 * Its delete failed. `dueMs` is the next try; without it the sandbox is parked for an operator. `counts`: others went
 * through, so that a retry is used up. `mayRunUntilMs`: no answer came, and until then it may be under way.
 */
export const failDeletion = (
  seen: PendingSandbox | FailedSandbox,
  error: string,
  {
    dueMs,
    counts,
    mayRunUntilMs,
  }: { dueMs: number | undefined; counts: boolean; mayRunUntilMs?: number | undefined },
  nowMs: number,
): FailedSandbox =>
  next<FailedSandbox>(seen, nowMs, {
    status: 'deletion_failed',
    lease: seen.lease,
    cleanup: {
      ...settled(seen.cleanup),
      retries: seen.cleanup.retries + (counts ? 1 : 0),
      dueMs,
      lastError: error,
      mayRunUntilMs,
    },
  });

/**
 * An operator gives a failed deletion a fresh set of attempts, due as soon as the last one is surely over. That it is known to
 * have failed stays known: then nobody need ask the provider whether it was done.
 */
export function retryDeletion(seen: FailedSandbox, nowMs: number): PendingSandbox {
  const { requestedAt, mayRunUntilMs, lastError } = seen.cleanup;
  return next<PendingSandbox>(seen, nowMs, {
    status: 'pending_deletion',
    lease: seen.lease,
    cleanup: {
      ...dueAtOnce(requestedAt, Math.max(nowMs, mayRunUntilMs ?? 0)),
      ...(mayRunUntilMs === undefined && { lastError }),
    },
  });
}

export const markStale = (seen: AvailableSandbox | CoolingSandbox, nowMs: number): StaleSandbox =>
  next<StaleSandbox>(seen, nowMs, {
    status: 'stale',
    staleSinceMs: nowMs,
    ...(seen.status === 'cooling' && { coolUntilMs: seen.coolUntilMs }),
  });

/** A stale one is listed again. */
export const restore = (
  seen: StaleSandbox,
  listed: Description,
  nowMs: number,
): AvailableSandbox | CoolingSandbox => withDescription(freeAfter(seen, seen.coolUntilMs, nowMs), listed);

/** Removes the record only; what the provider has is not touched. */
export const purge = (seen: StaleSandbox | FailedSandbox, nowMs: number): DeletedSandbox =>
  next<DeletedSandbox>(seen, nowMs, {
    status: 'deleted',
    deletedAtMs: nowMs,
    reason: 'purged',
    ...(seen.status === 'deletion_failed' && { lease: seen.lease, cleanup: settled(seen.cleanup) }),
  });

/**
 * The provider lists something whose tombstone does not speak against it (`judge` says when). What was destroyed, or was
 * clean when its record was purged, is a fresh sandbox. What was used and is not known to have been deleted is not: a record that was purged comes back as a
 * failed deletion, for an operator; what the provider did not know for a while is to be deleted again.
 */
export function revive(
  seen: DeletedSandbox,
  listed: Description,
  nowMs: number,
  cooldownMs = 0,
): AvailableSandbox | CoolingSandbox | FailedSandbox | PendingSandbox {
  const { lease, cleanup } = seen;
  if (!lease || !cleanup || seen.reason === 'destroyed') {
    return withDescription(freeAfter(seen, lease && seen.deletedAtMs + cooldownMs, nowMs), listed);
  }
  return seen.reason === 'purged'
    ? withDescription(next<FailedSandbox>(seen, nowMs, { status: 'deletion_failed', lease, cleanup }), listed)
    : withDescription(
        next<PendingSandbox>(seen, nowMs, {
          status: 'pending_deletion',
          lease,
          cleanup: askedFor(nowMs),
        }),
        listed,
      );
}

/** The provider lists it, and describes it so now; status and lease stay as they are. */
export function describe(seen: Sandbox, listed: Description, nowMs: number): Sandbox {
  const described = withDescription({ ...seen, generation: seen.generation + 1, updatedAtMs: nowMs }, listed);
  if (described.status !== 'quarantined') return described;
  const { missingSinceMs: _missingSinceMs, ...found } = described;
  return found;
}

const withDescription = <T extends Sandbox>(sandbox: T, { name, externalId, metadata }: Description): T => ({
  ...sandbox,
  name,
  externalId,
  metadata,
});
