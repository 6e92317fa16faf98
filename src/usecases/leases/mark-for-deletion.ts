import type { Clock } from '../../clock.ts';
import { assertNever } from '../../domain/errors.ts';
import { endLease } from '../../domain/quarantine.ts';
import type { Sandbox, SandboxStatus } from '../../domain/sandbox.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { changeSandbox, type Decision, notOwner } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';

export interface MarkInput {
  sandboxId: string;
  holder: string;
}

export interface MarkResult {
  sandboxId: string;
  status: SandboxStatus;
  /** Epoch seconds of the first mark. */
  deletionRequestedAt: number;
  /** True when it was already marked. */
  repeated: boolean;
}

/** Throws `SANDBOX_NOT_FOUND`, `NOT_SANDBOX_OWNER`, `STORE_UNAVAILABLE`, `BUSY`. */
export type MarkForDeletion = (input: MarkInput, context: CallContext) => Promise<MarkResult>;

/** The holder gives its sandbox back. Repeating it is harmless for as long as the lease is remembered. */
export function markForDeletion(deps: {
  store: Pick<SandboxStore, 'get' | 'write'>;
  clock: Clock;
}): MarkForDeletion {
  return async ({ sandboxId, holder }, context) => {
    const decide = (seen: Sandbox): Decision<Sandbox, MarkResult> => {
      switch (seen.status) {
        case 'allocated':
          if (seen.lease.holder !== holder) throw notOwner(sandboxId);
          return { next: endLease(seen, deps.clock.nowMs()), action: 'mark_for_deletion' };
        case 'pending_deletion':
        case 'deletion_failed':
        case 'quarantined':
        case 'deleted':
          if (!seen.cleanup || seen.lease?.holder !== holder) throw notOwner(sandboxId);
          return { answer: toResult(seen, seen.cleanup.requestedAt, true) };
        case 'available':
        case 'cooling':
          if (seen.released?.holder !== holder) throw notOwner(sandboxId);
          return { answer: toResult(seen, seen.released.requestedAt, true) };
        case 'stale':
          throw notOwner(sandboxId);
        default:
          return assertNever(seen);
      }
    };
    const result = await changeSandbox(deps.store, sandboxId, context, decide);
    if ('repeated' in result) return result;
    return toResult(result, Math.floor(result.updatedAtMs / 1000), false);
  };
}

const toResult = (sandbox: Sandbox, deletionRequestedAt: number, repeated: boolean): MarkResult => ({
  sandboxId: sandbox.id,
  status: sandbox.status,
  deletionRequestedAt,
  repeated,
});
