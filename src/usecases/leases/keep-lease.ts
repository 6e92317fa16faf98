import type { Clock } from '../../clock.ts';
import { BrokerError, KeyMovedOnError } from '../../domain/errors.ts';
import { heardOf, isOver, type Lease, type LeaseRules, prolonged } from '../../domain/lease.ts';
import { fits, isDead, type Place } from '../../domain/line.ts';
import type { AllocatedSandbox } from '../../domain/sandbox.ts';
import { goOn } from '../../domain/transitions.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { changeSandbox, type Decision } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';
import type { LineView } from '../line/line-view.ts';
import { heldLease, type LeaseClaim, leaseOver } from './held-lease.ts';
import { type GrantedLease, grantedOf } from './lease-request.ts';
import { refuseOtherLease, refuseState } from './operate-sandbox.ts';

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

interface ExtendDeps extends Deps {
  terms: LeaseRules;
  /** The line, where a lease that somebody else waits for is not extended. */
  othersFirst: Pick<LineView, 'whole'> | undefined;
}

/**
 * Moves a lease's end to so long from now, as far as the rules allow it, and never to an earlier moment; a sign of life, too,
 * whether it moves anything or not. Throws `OTHERS_WAIT` where others come first, and somebody else waited for a sandbox like
 * it a moment ago.
 */
export function extendLease({ store, clock, terms, othersFirst }: ExtendDeps): KeepLease<ExtendInput> {
  return async (input, context) => {
    try {
      const places = (await othersFirst?.whole()) ?? [];
      return await keep({ store, clock }, input, context, (held, nowMs) => {
        const longer = prolonged(held.lease, input.durationSeconds, nowMs, terms);
        const isLonger = longer.expiresAt > held.lease.expiresAt;
        if (isLonger && places.some((place) => isOthers(place, held, nowMs))) throw othersWait(held.lease);
        return keptWith(heardOf(longer, nowMs), held, nowMs);
      });
    } catch (error) {
      throw error instanceof KeyMovedOnError ? leaseOver() : error;
    }
  };
}

export interface OperatorsExtension {
  sandboxId: string;
  /** From now to the new end, seconds, > 0. */
  durationSeconds: number;
  /** Only while it has this lease. */
  leaseId?: string | undefined;
}

/**
 * {@link extendLease} by an operator, whoever holds it and whoever waits, and no sign of life of the holder. Throws `SANDBOX_NOT_FOUND`, `LEASE_OVER`, and
 * `INVALID_STATE` for what is not leased.
 */
export function extendForHolder({ store, clock, terms }: Deps & { terms: LeaseRules }) {
  return async (input: OperatorsExtension, context: CallContext): Promise<AllocatedSandbox> => {
    try {
      return await changeSandbox(store, input.sandboxId, context, (seen) => {
        refuseOtherLease(seen, input.leaseId);
        if (seen.status !== 'allocated') throw refuseState(seen, 'Only a leased sandbox can be extended.');
        const nowMs = clock.nowMs();
        if (isOver(seen.lease, nowMs)) throw leaseOver();
        return keptWith(prolonged(seen.lease, input.durationSeconds, nowMs, terms), seen, nowMs);
      });
    } catch (error) {
      throw error instanceof KeyMovedOnError ? leaseOver() : error;
    }
  };
}

export type ExtendForHolder = ReturnType<typeof extendForHolder>;

/** The sandbox with its lease as it is to be from now on. A second counts once, however often somebody speaks in it. */
function keptWith(
  lease: Lease,
  held: AllocatedSandbox,
  nowMs: number,
): Decision<AllocatedSandbox, AllocatedSandbox> {
  const next = goOn(held, lease, nowMs);
  if (lease.expiresAt > held.lease.expiresAt) {
    return { next, action: 'extend', detail: `until ${lease.expiresAt}` };
  }
  return lease.heartbeat?.by === held.lease.heartbeat?.by ? { answer: held } : { next };
}

/** The holder gives a sign of life. Of a lease without a heartbeat it only says that it is running. */
export function heartbeat(deps: Deps): KeepLease {
  return (input, context) =>
    keep(deps, input, context, (held, nowMs) => keptWith(heardOf(held.lease, nowMs), held, nowMs));
}

/** Somebody else waits for such a sandbox, and is there. */
const isOthers = (place: Place, { name, lease }: AllocatedSandbox, nowMs: number): boolean =>
  place.request.holder !== lease.holder && !isDead(place, nowMs) && fits(place, name);

/** The line may be shorter by then. */
const ASK_AGAIN_SECONDS = 30;

const othersWait = ({ expiresAt }: Lease) =>
  new BrokerError(
    'OTHERS_WAIT',
    'Others wait for a sandbox like this one, so its lease is not extended: it ends when it was to end.',
    { retryAfterSeconds: ASK_AGAIN_SECONDS, details: { expires_at: expiresAt } },
  );

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
