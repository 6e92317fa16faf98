import pLimit from 'p-limit';
import { hasCode } from '../../domain/errors.ts';
import type { Sandbox, SandboxStatus } from '../../domain/sandbox.ts';
import type { CallContext } from '../context.ts';
import type { ListInput, ListSandboxes } from '../list-sandboxes.ts';
import type { OperateSandbox } from './operate-sandbox.ts';

/** Which sandboxes are chosen, as the list has it. */
export type ManyFilter = Omit<ListInput, 'status' | 'limit' | 'cursor'>;

export interface ManyInput extends ManyFilter {
  /** Only leases that began by then, epoch seconds: whoever got one since is left alone. */
  leasedBefore?: number | undefined;
  /** So many are looked for at the most, and `cursor` says where the rest begins; absent: all. */
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface ManyResult {
  counts: {
    /** Those that are chosen. */
    found: number;
    changed: number;
    /** Changed meanwhile by somebody else, or a cleaner is at work on them. */
    skipped: number;
    /** Could not be changed; the rest was all the same. */
    failed: number;
  };
  /** The first of those that were changed. */
  changedIds: string[];
  /** The first of those that could not be changed. */
  failedIds: string[];
  cursor?: string | undefined;
}

/**
 * An operator's hand on all that a filter means; one that cannot be changed does not stop the others, and asking again is
 * harmless. Throws `STORE_UNAVAILABLE` when they cannot be listed, and `INVALID_CURSOR`.
 */
export type OperateOnMany = (input: ManyInput, context: CallContext) => Promise<ManyResult>;

interface Deps {
  listSandboxes: ListSandboxes;
  /** What is done to each, bound to the lease that it was listed with. */
  operate: OperateSandbox;
  /** Those in this status are chosen. */
  status: SandboxStatus;
}

const PAGE = 100;
const AT_ONCE = 8;
const MAX_NAMED = 100;
/** Where a hand leads: to a cleanup, or to the quarantine that was waiting for the lease's end. */
const DONE: ReadonlySet<SandboxStatus> = new Set(['pending_deletion', 'quarantined']);

export function operateOnMany({ listSandboxes, operate, status }: Deps): OperateOnMany {
  return async ({ leasedBefore, limit, cursor: start, ...filter }, context) => {
    const counts = { found: 0, changed: 0, skipped: 0, failed: 0 };
    const changedIds: string[] = [];
    const failedIds: string[] = [];
    const name = (ids: string[], id: string) => ids.length < MAX_NAMED && ids.push(id);

    async function one(sandbox: Sandbox): Promise<void> {
      context.signal.throwIfAborted();
      context.assertHeld?.();
      try {
        const changed = await operate(sandbox.id, context, leaseOf(sandbox)?.leaseId);
        if (!DONE.has(changed.status)) return void counts.skipped++;
        counts.changed++;
        name(changedIds, sandbox.id);
      } catch (error) {
        if (context.signal.aborted) throw error;
        if (hasMovedOn(error)) return void counts.skipped++;
        counts.failed++;
        name(failedIds, sandbox.id);
      }
    }

    const atOnce = pLimit(AT_ONCE);
    let cursor = start;
    do {
      const page = await listSandboxes({ ...filter, status, limit: limit ?? PAGE, cursor }, context);
      const chosen = page.sandboxes.filter((each) => wasLeasedBy(each, leasedBefore));
      counts.found += chosen.length;
      await atOnce.map(chosen, one);
      cursor = page.cursor;
    } while (cursor !== undefined && limit === undefined);
    return { counts, changedIds, failedIds, cursor };
  };
}

const leaseOf = (sandbox: Sandbox) => ('lease' in sandbox ? sandbox.lease : undefined);

/** Whether its lease had begun then, epoch seconds; of any where no time is given. */
const wasLeasedBy = (sandbox: Sandbox, atSeconds: number | undefined): boolean =>
  atSeconds === undefined || (leaseOf(sandbox)?.allocatedAt ?? Number.POSITIVE_INFINITY) <= atSeconds;

const hasMovedOn = (error: unknown): boolean =>
  hasCode(error, 'INVALID_STATE') || hasCode(error, 'LEASE_OVER') || hasCode(error, 'SANDBOX_NOT_FOUND');

/** How many sandboxes a filter means, and as of when, epoch milliseconds. */
export type CountSandboxes = (
  filter: Omit<ListInput, 'limit' | 'cursor'>,
  context: CallContext,
) => Promise<{ count: number; asOfMs: number }>;

const COUNTED_AT_ONCE = 500;

export function countSandboxes(deps: {
  listSandboxes: ListSandboxes;
  clock: { nowMs(): number };
}): CountSandboxes {
  return async (filter, context) => {
    const asOfMs = deps.clock.nowMs();
    let count = 0;
    let cursor: string | undefined;
    do {
      const page = await deps.listSandboxes({ ...filter, limit: COUNTED_AT_ONCE, cursor }, context);
      count += page.sandboxes.length;
      cursor = page.cursor;
    } while (cursor !== undefined);
    return { count, asOfMs };
  };
}
