import type { Clock } from '../../clock.ts';
import { isSilent } from '../../domain/lease.ts';
import { endLease } from '../../domain/quarantine.ts';
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
  const seen = await changeSandbox(store, sandboxId, context, (seen) => {
    const nowMs = clock.nowMs();
    const isThere = seen.status === 'allocated' && seen.lease.leaseId === leaseId;
    if (!isThere || !isSilent(seen.lease, nowMs)) return { answer: seen };
    return { next: endLease(seen, nowMs), ...expiryOf(seen.lease, nowMs) };
  });
  return seen.status === 'allocated' && seen.lease.leaseId === leaseId
    ? { ...found, lease: grantedOf(seen) }
    : undefined;
}
