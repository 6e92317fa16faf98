import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import { eventOf } from '../../domain/event.ts';
import { quarantine } from '../../domain/quarantine.ts';
import type { AllocatedSandbox, Quarantine, Sandbox } from '../../domain/sandbox.ts';
import type { Reported } from '../../store/line/replacements.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { limitTime } from '../../time-limit.ts';
import type { RaiseAlert } from '../alert.ts';
import { sandboxNotFound } from '../change-sandbox.ts';
import type { CallContext } from '../context.ts';
import type { Turn } from '../line/wait-in-line.ts';
import { heldLease, type LeaseClaim } from './held-lease.ts';
import type { ReplaceReported } from './replace-reported.ts';
import { busy } from './try-grant.ts';

export interface ReportInput extends LeaseClaim {
  /** What is wrong with it, in the holder's words. */
  reason: string;
  /** It wants another one instead, or a place at the head of the line. */
  replace: boolean;
  /** Of the other one. */
  namePrefix?: string | undefined;
}

export interface ReportResult {
  sandboxId: string;
  /** It was reported before: nothing has changed. */
  repeated: boolean;
  /** Only where it was asked for. */
  replacement?: Turn | undefined;
}

/**
 * The holder says that its sandbox is broken: its lease ends, and the sandbox goes into quarantine. Asked for another one, it
 * gets that in the same transaction, and never a second one, however often it reports.
 *
 * Throws `SANDBOX_NOT_FOUND`, `NOT_SANDBOX_OWNER`, `LEASE_OVER` (the lease, or that of the replacement, is over),
 * `PLACE_LOST`, `INVALID_STATE` for a replacement of one of several leases, or of one whose key has another, `BUSY`, `STORE_UNAVAILABLE`.
 */
export type ReportSandbox = (input: ReportInput, context: CallContext) => Promise<ReportResult>;

export interface ReportDeps {
  store: Pick<SandboxStore, 'get' | 'write'>;
  replaceReported: ReplaceReported;
  clock: Clock;
  /** How long to look for another one before `BUSY`, milliseconds. */
  deadlineMs: number;
  alert: RaiseAlert;
}

export function reportSandbox(deps: ReportDeps): ReportSandbox {
  const { store, clock, replaceReported } = deps;

  function tell({ id, name }: Sandbox, reason: string): void {
    const context = { sandbox_id: id, name, reason };
    deps.alert({ task: 'pool', reason: 'sandbox_reported', severity: 'warning', context });
  }

  return async (input, context) => {
    const { sandboxId, reason, replace } = input;
    const deadline = limitTime(deps.deadlineMs, context.signal);
    try {
      while (!deadline.signal.aborted) {
        const seen = await store.get(sandboxId, deadline.signal);
        if (!seen) throw sandboxNotFound(sandboxId);
        const before = reportOf(seen, input);
        if (before) {
          if (!replace) return { sandboxId, repeated: true };
          return {
            sandboxId,
            repeated: true,
            replacement: await replaceReported.again(before, deadline.signal),
          };
        }
        const held = heldLease(seen, input, clock.nowMs());
        if (replace && held.lease.groupId !== undefined) throw oneOfSeveral();
        const reported = toReported(held, input, clock.nowMs(), context);
        if (!replace) {
          if (!(await store.write(reported, deadline.signal))) continue;
          tell(seen, reason);
          return { sandboxId, repeated: false };
        }
        const replacement = await replaceReported.now(reported, input.namePrefix, context, deadline.signal);
        if (replacement === 'other_lease') {
          const still = await store.get(sandboxId, deadline.signal);
          if (still?.generation === seen.generation) throw otherLease();
          continue;
        }
        if (replacement === 'lost') continue;
        tell(seen, reason);
        return { sandboxId, repeated: false, replacement };
      }
    } finally {
      deadline.clear();
    }
    throw busy();
  };
}

function toReported(
  seen: AllocatedSandbox,
  { reason, replace }: ReportInput,
  nowMs: number,
  context: CallContext,
): Reported {
  const asked: Quarantine = seen.quarantine ?? { reason, sinceMs: nowMs };
  const next = quarantine(seen, { ...asked, report: replace ? 'replaced' : 'plain' }, nowMs);
  return { seen, next, event: eventOf(seen, next, 'report', context, reason) };
}

/** The key of a lease that its holder has ended so before. Throws `LEASE_OVER` where that was without a replacement, and one is wanted. */
function reportOf(seen: Sandbox, { holder, leaseId, replace }: ReportInput): string | undefined {
  if (seen.status !== 'quarantined' || seen.quarantine.report === undefined) return undefined;
  if (seen.lease?.holder !== holder || (leaseId ?? seen.lease.leaseId) !== seen.lease.leaseId)
    return undefined;
  if (replace && seen.quarantine.report !== 'replaced') {
    throw new BrokerError(
      'LEASE_OVER',
      'It was reported already, and nothing was asked for instead: allocate anew.',
    );
  }
  return seen.lease.idempotencyPk;
}

const otherLease = () =>
  new BrokerError(
    'INVALID_STATE',
    'The key of this lease has another one: report the sandbox without asking for a replacement.',
  );

const oneOfSeveral = () =>
  new BrokerError(
    'INVALID_STATE',
    'It was leased together with others: report it without asking for a replacement, and allocate another one.',
  );
