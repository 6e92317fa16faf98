import pLimit from 'p-limit';
import { assertNever } from '../domain/errors.ts';
import { isLeaving } from '../domain/inventory.ts';
import type { IrreversibleAdapter } from '../safety/adapters.ts';
import type { Breaker } from '../safety/breaker.ts';
import type { GuardOutcome } from '../safety/guard.ts';
import { everywhere, type SandboxReads } from '../store/reads.ts';
import { pause } from '../time-limit.ts';
import type { CallContext } from './context.ts';
import {
  type DeleteUnderClaimDeps,
  deleteUnderClaim,
  type Ending,
  isUsed,
  type Used,
} from './delete-under-claim.ts';
import type { LookForLeaving } from './look-for-leaving.ts';

export interface CleanUpDeps extends DeleteUnderClaimDeps {
  lookForLeaving: LookForLeaving;
  /** Puts a delete behind the governor and the dry-run lock, before its claim. */
  providerDelete: IrreversibleAdapter;
  reads: SandboxReads;
  /** Deletes under way at once, >= 1. */
  concurrency: number;
  /** Pause after each delete, milliseconds. */
  delayMs: number;
  /** Of the provider's deletes: while it is open nothing is claimed, and while it is half open one at a time. */
  breaker?: Pick<Breaker, 'refresh' | 'state' | 'blockedForMs'> | undefined;
}

export interface CleanUpCounts {
  due: number;
  deleted: number;
  /** Accepted by the provider, and pending until a later listing lacks them: to be looked for again. */
  accepted: number;
  recycled: number;
  failed: number;
  /** Failed for the last time: they wait for an operator. */
  parked: number;
  /** Accepted once, and listed for so long that they are to be deleted again. */
  still_listed: number;
  /** Left untouched: another replica was at work on them, or the run ended early. */
  skipped: number;
  /** Left untouched because of a dry run; only there in one. */
  dry_run_blocked?: number;
}

/**
 * Deletes at the provider what was given back, each under a claim, so that of several replicas one sets out. A sandbox
 * that cannot be deleted is tried again later and parked at last; it never stands in the way of the others. Ends early,
 * the rest untouched, when `context.signal` fires, the quota is used up, the provider asks for a pause or its breaker
 * opens. In a dry run nothing is claimed: every record stays as it is.
 */
export function cleanUp(deps: CleanUpDeps) {
  const guardedDelete = deps.providerDelete(
    (seen: Used, context: CallContext, pauseUntil: (ms: number) => void, onProgress?: () => void) =>
      deleteUnderClaim(deps, seen, context, pauseUntil, onProgress),
    ({ id, name, generation }, { signal }) => ({
      entity: id,
      generation,
      args: { sandbox_id: id, name },
      signal,
    }),
    { logAs },
  );

  return async (
    context: CallContext,
    onProgress?: (progress?: { done: number; total: number }) => void,
  ): Promise<CleanUpCounts> => {
    const found = await findDue(deps, context);
    const looked = await deps.lookForLeaving(found.filter(isLeaving), context, onProgress);
    const counts: CleanUpCounts = { due: found.length, ...looked, recycled: 0, failed: 0, parked: 0 };
    const due = found.filter((sandbox) => !isLeaving(sandbox));
    let done = 0;
    onProgress?.({ done, total: due.length });
    let pausedUntilMs = 0;
    const pauseUntil = (ms: number) => {
      pausedUntilMs = ms;
    };
    await deps.breaker?.refresh();
    const isSuspended = () => deps.breaker !== undefined && deps.breaker.blockedForMs() > 0;
    const deleteOne = async (sandbox: Used): Promise<Ending> => {
      if (context.signal.aborted || pausedUntilMs > 0 || isSuspended()) return 'skipped';
      const guarded = await guardedDelete(sandbox, context, pauseUntil, onProgress);
      if (guarded.outcome === 'later') pauseUntil(deps.clock.nowMs() + guarded.retryAfterSeconds * 1000);
      onProgress?.({ done: ++done, total: due.length });
      if (deps.delayMs > 0) await pause(deps.delayMs, context.signal);
      return endingOf(guarded);
    };
    const results: PromiseSettledResult<Ending>[] = [];
    // After an outage the first one is the breaker's probe: the others wait for what it finds, unclaimed.
    while (deps.breaker && deps.breaker.state() !== 'closed' && results.length < due.length) {
      const probes = due.slice(results.length, results.length + 1);
      results.push(...(await Promise.allSettled(probes.map(deleteOne))));
    }
    const limit = pLimit(deps.concurrency);
    const rest = due.slice(results.length).map((sandbox) => limit(deleteOne, sandbox));
    results.push(...(await Promise.allSettled(rest)));
    for (const result of results) {
      if (result.status === 'rejected') continue;
      count(counts, result.value);
    }
    // The others have had their turn; a store that failed in between is the run's failure all the same.
    const rejected = results.find((result) => result.status === 'rejected');
    // What was only told to stop, on its way to a claim, is none: what was done can be told.
    if (rejected && !context.signal.aborted) throw rejected.reason;
    counts.skipped += results.filter((result) => result.status === 'rejected').length;
    return counts;
  };
}

function count(counts: CleanUpCounts, ending: Ending): void {
  switch (ending) {
    case 'provider_says_later':
    case 'breaker_open':
      counts.skipped++;
      break;
    case 'dry_run':
      counts.dry_run_blocked = (counts.dry_run_blocked ?? 0) + 1;
      break;
    case 'parked':
      counts.parked++;
      counts.failed++;
      break;
    default:
      counts[ending]++;
  }
}

async function findDue({ reads, clock }: CleanUpDeps, context: CallContext): Promise<Used[]> {
  const nowMs = clock.nowMs();
  const due: Used[] = [];
  for await (const sandbox of everywhere(reads.buckets, (place) =>
    reads.due({ nowMs, ...place }, context.signal),
  )) {
    if (isUsed(sandbox)) due.push(sandbox);
  }
  return due.sort((a, b) => (a.cleanup.dueMs ?? 0) - (b.cleanup.dueMs ?? 0));
}

function endingOf(guarded: GuardOutcome<Ending>): Ending {
  switch (guarded.outcome) {
    case 'executed':
      return guarded.result;
    case 'dry_run':
      return 'dry_run';
    case 'later':
      return 'skipped';
    default:
      return assertNever(guarded);
  }
}

/** How the log of irreversible actions calls a delete that ended so. */
function logAs(ending: Ending): 'executed' | 'error' | undefined {
  switch (ending) {
    case 'deleted':
    case 'accepted':
    case 'recycled':
      return 'executed';
    case 'failed':
    case 'parked':
    case 'provider_says_later':
      return 'error';
    case 'skipped':
    case 'breaker_open':
    case 'dry_run':
      return undefined;
    default:
      return assertNever(ending);
  }
}
