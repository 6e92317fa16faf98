import pLimit from 'p-limit';
import type { Clock } from '../../clock.ts';
import { assertNever, BrokerError, hasCode } from '../../domain/errors.ts';
import type { Lease } from '../../domain/lease.ts';
import { endLease } from '../../domain/quarantine.ts';
import type { Sandbox, SandboxStatus } from '../../domain/sandbox.ts';
import type { KeyRecord } from '../../store/sandboxes/idempotency.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { changeSandbox, type Decision, notOwner } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';
import type { AllocateInput } from './lease-request.ts';

export interface MarkInput {
  sandboxId: string;
  holder: string;
  /** Only this lease of the holder; absent: whichever it has of the sandbox. */
  leaseId?: string | undefined;
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
  return async ({ sandboxId, holder, leaseId }, context) => {
    const isMeant = (lease: Lease | undefined) =>
      lease?.holder === holder && (leaseId ?? lease.leaseId) === lease.leaseId;
    const decide = (seen: Sandbox): Decision<Sandbox, MarkResult> => {
      switch (seen.status) {
        case 'allocated':
          if (!isMeant(seen.lease)) throw notOwner(sandboxId);
          return { next: endLease(seen, deps.clock.nowMs()), action: 'mark_for_deletion' };
        case 'pending_deletion':
        case 'deletion_failed':
        case 'quarantined':
        case 'deleted':
          if (!seen.cleanup || !isMeant(seen.lease)) throw notOwner(sandboxId);
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

/**
 * The holder gives back all that a key has: one sandbox, or those that were leased together. Those that are somebody else's by
 * now are left out. Throws `SANDBOX_NOT_FOUND` where there is none, and what a single mark throws; repeating is harmless.
 */
export type MarkAll = (
  input: Pick<AllocateInput, 'principal' | 'holder' | 'idempotencyKey'>,
  context: CallContext,
) => Promise<MarkResult[]>;

const AT_ONCE = 4;

export function markAll({
  findKey,
  keyPk,
  markForDeletion,
}: {
  findKey: (pk: string, signal: AbortSignal) => Promise<KeyRecord | undefined>;
  keyPk: (principal: string, holder: string, key: string) => string;
  markForDeletion: MarkForDeletion;
}): MarkAll {
  return async ({ principal, holder, idempotencyKey = holder }, context) => {
    const record = await findKey(keyPk(principal, holder, idempotencyKey), context.signal);
    const leases = record === undefined || record.waits !== undefined ? [] : (record.members ?? [record]);
    const markOne = async ({ sandboxId, leaseId }: Pick<KeyRecord, 'sandboxId' | 'leaseId'>) => {
      try {
        return await markForDeletion({ sandboxId, holder, leaseId }, context);
      } catch (error) {
        if (hasCode(error, 'NOT_SANDBOX_OWNER') || hasCode(error, 'SANDBOX_NOT_FOUND')) return undefined;
        throw error;
      }
    };
    const marked = await pLimit(AT_ONCE).map(leases, markOne);
    const results = marked.filter((result) => result !== undefined);
    if (results.length > 0) return results;
    throw new BrokerError('SANDBOX_NOT_FOUND', 'This key has no sandbox (any more).');
  };
}

const toResult = (sandbox: Sandbox, deletionRequestedAt: number, repeated: boolean): MarkResult => ({
  sandboxId: sandbox.id,
  status: sandbox.status,
  deletionRequestedAt,
  repeated,
});
