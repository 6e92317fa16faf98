import { assertNever } from '../../domain/errors.ts';
import { isLeaving } from '../../domain/inventory.ts';
import type { Trip } from '../../domain/resilience/breaker.ts';
import {
  afterRest,
  checkEvidenceRules,
  conclusion,
  type Evidence,
  type EvidenceRules,
  isInDoubt,
  NO_EVIDENCE,
  spread,
  withOutcome,
} from '../../domain/resilience/delete-evidence.ts';
import { tripOfCall } from '../../provider/verdicts.ts';
import type { Breaker, GuardOutcome, IrreversibleAdapter } from '../../safety/index.ts';
import type { SandboxReads } from '../../store/sandboxes/reads.ts';
import { pause } from '../../time-limit.ts';
import type { CallContext } from '../context.ts';
import { everywhere } from '../everywhere.ts';
import {
  type DeleteUnderClaimDeps,
  deleteUnderClaim,
  type Ending,
  type Failure,
  isUsed,
  settleFailure,
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
  /** When failures are the provider's, and not the sandboxes' own. */
  evidenceRules: EvidenceRules;
  /**
   * Of the provider's deletes: while it is open nothing is claimed, and while it is half open one at a time. A run opens it
   * when it has found out that the provider is not well.
   */
  breaker?: Pick<Breaker, 'refresh' | 'state' | 'blockedForMs' | 'restMs' | 'trip'> | undefined;
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
 * that cannot be deleted while others can is tried again later and parked at last; it never stands in the way of the
 * others. A provider that is not well is nobody's fault: the queue rests, by its breaker on all replicas, and is as it was
 * afterwards. Ends early, the rest untouched, when that is so, `context.signal` fires or the quota is used up. In a dry run
 * nothing is claimed: every record stays as it is.
 */
export function cleanUp(deps: CleanUpDeps) {
  const { breaker, evidenceRules } = deps;
  checkEvidenceRules(evidenceRules);
  /** Of this replica, over all its runs. */
  let evidence: Evidence = NO_EVIDENCE;
  const guardedDelete = deps.providerDelete(
    (seen: Used, context: CallContext, onProgress: (() => void) | undefined) =>
      deleteUnderClaim(deps, seen, context, onProgress),
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
    const errors: unknown[] = [];
    const looked = await deps
      .lookForLeaving(found.filter(isLeaving), context, onProgress)
      .catch((error: unknown) => {
        // The deletes have their turn all the same.
        errors.push(error);
        return { deleted: 0, accepted: 0, still_listed: 0, skipped: 0 };
      });
    const counts: CleanUpCounts = { due: found.length, ...looked, recycled: 0, failed: 0, parked: 0 };
    const due = found.filter((sandbox) => !isLeaving(sandbox));
    let begun = 0;
    let done = 0;
    onProgress?.({ done, total: due.length });
    await breaker?.refresh();

    const failures: Failure[] = [];
    let wentThrough = false;
    let hasStopped = false;
    const isOver = () =>
      context.signal.aborted || hasStopped || (breaker !== undefined && breaker.blockedForMs() > 0);

    async function rest(trip: Trip): Promise<void> {
      hasStopped = true;
      evidence = afterRest(
        trip.why === 'half_failing' ? trip.why : 'down',
        deps.clock.nowMs(),
        evidenceRules,
      );
      await breaker?.trip(trip);
    }

    /** What a failure says about the provider, together with what else is known. */
    async function learn({ claimed, error, atMs }: Failure, isLast: boolean): Promise<void> {
      if (hasStopped) return;
      const trip = tripOfCall(error);
      if (error.kind === 'rate_limited' || trip.retryAfterMs !== undefined) return rest(trip);
      // That this one fails is known, and says nothing new.
      if (claimed.cleanup.retries > 0) return;
      evidence = withOutcome(evidence, { sandboxId: claimed.id, failed: true, atMs }, evidenceRules);
      const found = conclusion(evidence, { refused: trip.why === 'unauthorized', isLast }, evidenceRules);
      if (found !== undefined) await rest(found === 'half_failing' ? { why: found } : trip);
    }

    async function deleteOne(sandbox: Used): Promise<void> {
      begun++;
      // Not even the quota is taken for what another may be at.
      context.assertHeld?.();
      const wasInDoubt = isInDoubt(evidence);
      const guarded = await guardedDelete(sandbox, context, onProgress);
      onProgress?.({ done: ++done, total: due.length });
      const ending = endingOf(guarded);
      if (typeof ending === 'object') {
        failures.push(ending);
        await learn(ending, wasInDoubt);
      } else {
        count(counts, ending);
        if (isThrough(ending)) {
          wentThrough = true;
          const atMs = deps.clock.nowMs();
          evidence = withOutcome(evidence, { sandboxId: sandbox.id, failed: false, atMs }, evidenceRules);
        }
        if (ending === 'quota_used_up' || ending === 'breaker_open') hasStopped = true;
      }
      if (deps.delayMs > 0) await pause(deps.delayMs, context.signal);
    }

    const active = new Set<Promise<unknown>>();
    // In doubt, and after an outage, one at a time: what it finds decides for the others, which are unclaimed as yet.
    const limit = () =>
      isInDoubt(evidence) || (breaker && breaker.state() !== 'closed') ? 1 : deps.concurrency;
    for (const sandbox of inOrder(due)) {
      while (active.size >= limit()) await Promise.race(active);
      if (isOver()) break;
      const work: Promise<unknown> = deleteOne(sandbox)
        .catch((error) => errors.push(error))
        .finally(() => active.delete(work));
      active.add(work);
    }
    await Promise.all(active);

    // There is nobody left to ask: where nothing went through, what failed has to do.
    const last = failures.at(-1);
    if (last && !wentThrough && !isOver()) {
      const isRefused = last.error.kind === 'unauthorized';
      if (isRefused || evidence.inARow.size >= evidenceRules.failures) await rest(tripOfCall(last.error));
    }
    const isProviderWell =
      wentThrough && !hasStopped && (breaker === undefined || breaker.state() === 'closed');
    for (const failure of failures) {
      try {
        const fault = isProviderWell ? 'its_own' : { restMs: breaker?.restMs() };
        count(counts, await settleFailure(deps, failure, fault, context));
      } catch (error) {
        errors.push(error);
      }
    }
    counts.skipped += due.length - begun;
    // The others have had their turn; a store that failed in between is the run's failure all the same.
    // What was only told to stop, on its way to a claim, is none: what was done can be told.
    if (errors.length > 0 && !context.signal.aborted) throw errors[0];
    counts.skipped += errors.length;
    return counts;
  };
}

function count(counts: CleanUpCounts, ending: Ending | 'failed' | 'parked' | 'quota_used_up'): void {
  switch (ending) {
    case 'quota_used_up':
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

const isThrough = (ending: Ending | 'quota_used_up'): boolean =>
  ending === 'deleted' || ending === 'accepted' || ending === 'recycled';

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

/**
 * What never failed before what did, and spread: those that were given back together, and fail together, do not come
 * together.
 */
const inOrder = (due: readonly Used[]): Used[] => [
  ...spread(due.filter(({ cleanup }) => cleanup.lastError === undefined)),
  ...due.filter(({ cleanup }) => cleanup.lastError !== undefined),
];

function endingOf(guarded: GuardOutcome<Ending | Failure>): Ending | Failure | 'quota_used_up' {
  switch (guarded.outcome) {
    case 'executed':
      return guarded.result;
    case 'dry_run':
      return 'dry_run';
    case 'later':
      return 'quota_used_up';
    default:
      return assertNever(guarded);
  }
}

/** How the log of irreversible actions calls a delete that ended so. */
function logAs(ending: Ending | Failure): 'executed' | 'error' | undefined {
  if (typeof ending === 'object') return 'error';
  switch (ending) {
    case 'deleted':
    case 'accepted':
    case 'recycled':
      return 'executed';
    case 'skipped':
    case 'breaker_open':
    case 'dry_run':
      return undefined;
    default:
      return assertNever(ending);
  }
}
