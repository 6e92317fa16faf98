import type { Clock } from '../../clock.ts';
import { isSilent } from '../../domain/lease.ts';
import { endLease } from '../../domain/quarantine.ts';
import type { AllocatedSandbox, Sandbox } from '../../domain/sandbox.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { changeSandbox } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';
import { expiryOf } from './expire-leases.ts';
import { type FoundLease, grantedOf } from './lease-request.ts';

interface Deps {
  store: Pick<SandboxStore, 'get' | 'write'>;
  clock: Clock;
}

/**
 * A replay of a lease with a heartbeat, as its sandbox's record has it: a key knows nothing of signs of life. Undefined where
 * the holder was silent for too long, or the lease has ended meanwhile: it is over then, and its key tells so, or is free.
 */
export async function confirmLease(
  { store, clock }: Deps,
  found: FoundLease,
  context: CallContext,
): Promise<FoundLease | undefined> {
  if (!found.replayed || found.leaseOver || found.lease.heartbeat === undefined) return found;
  const { sandboxId, leaseId } = found.lease;
  const seen = await endSilent({ store, clock }, sandboxId, leaseId, context);
  return hasLease(seen, leaseId) ? { ...found, lease: grantedOf(seen) } : undefined;
}

/** The sandbox with its lease that goes on, as it was just read; undefined where that is over, or comes to be: of a silent holder. */
export async function endIfSilent(
  deps: Deps,
  seen: Sandbox | undefined,
  leaseId: string,
  context: CallContext,
): Promise<AllocatedSandbox | undefined> {
  if (seen === undefined || !hasLease(seen, leaseId)) return undefined;
  if (!isSilent(seen.lease, deps.clock.nowMs())) return seen;
  const now = await endSilent(deps, seen.id, leaseId, context);
  return hasLease(now, leaseId) ? now : undefined;
}

const hasLease = (seen: Sandbox, leaseId: string): seen is AllocatedSandbox =>
  seen.status === 'allocated' && seen.lease.leaseId === leaseId;

const endSilent = (
  { store, clock }: Deps,
  sandboxId: string,
  leaseId: string,
  context: CallContext,
): Promise<Sandbox> =>
  changeSandbox<Sandbox, Sandbox>(store, sandboxId, context, (seen) => {
    const nowMs = clock.nowMs();
    if (!hasLease(seen, leaseId) || !isSilent(seen.lease, nowMs)) return { answer: seen };
    return { next: endLease(seen, nowMs), ...expiryOf(seen.lease, nowMs) };
  });
