import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import { endLease } from '../../domain/quarantine.ts';
import type { Sandbox } from '../../domain/sandbox.ts';
import { retryDeletion } from '../../domain/transitions.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { changeSandbox } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';

/**
 * An operator's hand on one sandbox; with `leaseId` only while it has that lease, the one that was looked at. Throws
 * `SANDBOX_NOT_FOUND`, `LEASE_OVER` and `INVALID_STATE` (both with the status in the details); repeating is harmless.
 */
export type OperateSandbox = (
  sandboxId: string,
  context: CallContext,
  leaseId?: string | undefined,
) => Promise<Sandbox>;

interface Deps {
  store: Pick<SandboxStore, 'get' | 'write'>;
  clock: Clock;
}

/** Marks a leased sandbox for deletion, whoever holds it. */
export function releaseSandbox({ store, clock }: Deps): OperateSandbox {
  return (sandboxId, context, leaseId) =>
    changeSandbox<Sandbox, Sandbox>(store, sandboxId, context, (seen) => {
      refuseOtherLease(seen, leaseId);
      if (seen.status === 'pending_deletion') return { answer: seen };
      if (seen.status !== 'allocated') throw refuseState(seen, 'Only a leased sandbox can be released.');
      return { next: endLease(seen, clock.nowMs()), action: 'release' };
    });
}

/** Gives a failed deletion a fresh set of attempts, due at once, or as soon as its last delete is surely over. */
export function retrySandboxDeletion({ store, clock }: Deps): OperateSandbox {
  return (sandboxId, context, leaseId) =>
    changeSandbox<Sandbox, Sandbox>(store, sandboxId, context, (seen) => {
      refuseOtherLease(seen, leaseId);
      if (seen.status === 'pending_deletion') return { answer: seen };
      if (seen.status !== 'deletion_failed') {
        throw refuseState(seen, 'Only a failed deletion can be retried.');
      }
      // A cleaner at work has a claim on it; its end decides what there is to retry.
      if (seen.cleanup.claimId !== undefined) return { answer: seen };
      return { next: retryDeletion(seen, clock.nowMs()), action: 'retry_deletion' };
    });
}

/** Between an operator's look and hand the sandbox may have gone to somebody else. Who that is, is never said. */
export function refuseOtherLease(seen: Sandbox, leaseId: string | undefined): void {
  if (leaseId === undefined || ('lease' in seen && seen.lease?.leaseId === leaseId)) return;
  throw new BrokerError(
    'LEASE_OVER',
    `The lease that is meant is over; the sandbox is ${seen.status} by now. Look at it again.`,
    { details: { status: seen.status } },
  );
}

export const refuseState = (sandbox: Sandbox, message: string) =>
  new BrokerError('INVALID_STATE', `${message} This one is ${sandbox.status}.`, {
    details: { status: sandbox.status },
  });
