import type { Clock } from '../../clock.ts';
import { KeyMovedOnError } from '../../domain/errors.ts';
import { heardOf, type LeaseRules, prolonged } from '../../domain/lease.ts';
import type { AllocatedSandbox } from '../../domain/sandbox.ts';
import { goOn } from '../../domain/transitions.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { changeSandbox, type Decision } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';
import { heldLease, type LeaseClaim, leaseOver } from './held-lease.ts';
import { type GrantedLease, grantedOf } from './lease-request.ts';

/**
 * The lease as it is after the holder's word. Throws `SANDBOX_NOT_FOUND`, `NOT_SANDBOX_OWNER`, `LEASE_OVER` (nothing revives
 * one), `STORE_UNAVAILABLE`, `BUSY`.
 */
export type KeepLease<Input extends LeaseClaim = LeaseClaim> = (
  input: Input,
  context: CallContext,
) => Promise<GrantedLease>;

interface Deps {
  store: Pick<SandboxStore, 'get' | 'write'>;
  clock: Clock;
}

export interface ExtendInput extends LeaseClaim {
  /** From now to the new end, seconds, > 0. */
  durationSeconds: number;
}

/** Moves a lease's end to so long from now, as far as the rules allow it, and never to an earlier moment. */
export function extendLease({ store, clock, terms }: Deps & { terms: LeaseRules }): KeepLease<ExtendInput> {
  return async (input, context) => {
    try {
      const decide = (held: AllocatedSandbox, nowMs: number) => {
        const lease = prolonged(held.lease, input.durationSeconds, nowMs, terms);
        if (lease === held.lease) return { answer: held };
        return { next: goOn(held, lease, nowMs), action: 'extend', detail: `until ${lease.expiresAt}` };
      };
      return await keep({ store, clock }, input, context, decide);
    } catch (error) {
      throw error instanceof KeyMovedOnError ? leaseOver() : error;
    }
  };
}

/** The holder gives a sign of life. Of a lease without a heartbeat it only says that it is running. */
export function heartbeat(deps: Deps): KeepLease {
  return (input, context) =>
    keep(deps, input, context, (held, nowMs) => {
      const lease = heardOf(held.lease, nowMs);
      // A second counts once, however often it is beaten in.
      return lease.heartbeat?.by === held.lease.heartbeat?.by
        ? { answer: held }
        : { next: goOn(held, lease, nowMs) };
    });
}

async function keep(
  { store, clock }: Deps,
  claim: LeaseClaim,
  context: CallContext,
  decide: (held: AllocatedSandbox, nowMs: number) => Decision<AllocatedSandbox, AllocatedSandbox>,
): Promise<GrantedLease> {
  const kept = await changeSandbox(store, claim.sandboxId, context, (seen) => {
    const nowMs = clock.nowMs();
    return decide(heldLease(seen, claim, nowMs), nowMs);
  });
  return grantedOf(kept);
}
