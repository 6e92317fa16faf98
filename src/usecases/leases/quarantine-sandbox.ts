import type { Clock } from '../../clock.ts';
import { assertNever } from '../../domain/errors.ts';
import {
  callOffQuarantine,
  isBeingDeleted,
  quarantine,
  quarantineAfterLease,
  restoreToPool,
} from '../../domain/quarantine.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { changeSandbox, type Decision } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';
import { type OperateSandbox, refuseOtherLease, refuseState } from './operate-sandbox.ts';

export interface QuarantineInput {
  sandboxId: string;
  /** Why, for whoever looks at it. */
  reason: string;
  /** Ends a lease that it has; else that goes on, and the sandbox is out of the pool when it is over. */
  endLease: boolean;
  /** Only while it has this lease. */
  leaseId?: string | undefined;
}

/**
 * Takes a sandbox out of the pool without deleting it. Throws `SANDBOX_NOT_FOUND`, `LEASE_OVER`, and `INVALID_STATE` for one
 * that is deleted, or about to be; repeating is harmless, and the first reason stays.
 */
export type QuarantineSandbox = (input: QuarantineInput, context: CallContext) => Promise<Sandbox>;

interface Deps {
  store: Pick<SandboxStore, 'get' | 'write'>;
  clock: Clock;
}

export function quarantineSandbox({ store, clock }: Deps): QuarantineSandbox {
  return ({ sandboxId, reason, endLease, leaseId }, context) =>
    changeSandbox<Sandbox, Sandbox>(store, sandboxId, context, (seen): Decision<Sandbox, Sandbox> => {
      refuseOtherLease(seen, leaseId);
      const nowMs = clock.nowMs();
      const asked = { reason, sinceMs: nowMs };
      const decided = (next: Sandbox) => ({ next, action: 'quarantine', detail: reason });
      switch (seen.status) {
        case 'quarantined':
          return { answer: seen };
        case 'allocated':
          if (endLease) return decided(quarantine(seen, seen.quarantine ?? asked, nowMs));
          return seen.quarantine ? { answer: seen } : decided(quarantineAfterLease(seen, asked, nowMs));
        case 'available':
        case 'cooling':
        case 'stale':
          return decided(quarantine(seen, asked, nowMs));
        case 'pending_deletion':
        case 'deletion_failed':
          if (!isBeingDeleted(seen, nowMs)) return decided(quarantine(seen, asked, nowMs));
          throw refuseState(seen, 'A sandbox that is being deleted at this moment cannot be kept.');
        case 'deleted':
          throw refuseState(seen, 'There is nothing to keep.');
        default:
          return assertNever(seen);
      }
    });
}

/**
 * Ends a quarantine: one that was used goes to a cleanup, any other to who waits in line, or is free; a lease that has
 * gone on meanwhile goes on. Repeating is harmless.
 */
export function restoreSandbox({ store, clock }: Deps): OperateSandbox {
  return async (sandboxId, context, leaseId) => {
    const restored = await changeSandbox<Sandbox, Sandbox>(store, sandboxId, context, (seen) => {
      refuseOtherLease(seen, leaseId);
      const nowMs = clock.nowMs();
      if (seen.status === 'quarantined') return { next: restoreToPool(seen, nowMs), action: 'restore' };
      if (seen.status !== 'allocated' || !seen.quarantine) return { answer: seen };
      return { next: callOffQuarantine(seen, nowMs), action: 'restore' };
    });
    // What becomes free may be somebody's at once.
    return restored.status === 'available'
      ? ((await store.get(sandboxId, context.signal)) ?? restored)
      : restored;
  };
}
