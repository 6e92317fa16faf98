import pLimit from 'p-limit';
import type { Clock, NewId } from '../clock.ts';
import { backoffDelayMs } from '../domain/backoff.ts';
import { assertNever, BrokerError } from '../domain/errors.ts';
import { eventOf } from '../domain/event.ts';
import type { FailedSandbox, PendingSandbox, Sandbox } from '../domain/sandbox.ts';
import { bury, claim, failDeletion, recycle, unclaim } from '../domain/transitions.ts';
import { type DeleteOutcome, ProviderError } from '../provider/provider.ts';
import type { IrreversibleAdapter } from '../safety/adapters.ts';
import { type Breaker, BreakerOpenError } from '../safety/breaker.ts';
import type { GuardOutcome } from '../safety/guard.ts';
import { everywhere, type SandboxReads } from '../store/reads.ts';
import type { SandboxStore } from '../store/sandboxes.ts';
import { limitTime, pause } from '../time-limit.ts';
import type { RaiseAlert } from './alert.ts';
import type { CallContext } from './context.ts';
import type { DeleteOnce } from './delete-once.ts';

export interface CleanUpDeps {
  deleteOnce: DeleteOnce;
  /** Puts a delete behind the governor and the dry-run lock, before its claim. */
  providerDelete: IrreversibleAdapter;
  store: Pick<SandboxStore, 'get' | 'write'>;
  reads: SandboxReads;
  clock: Clock;
  newId: NewId;
  /** Deletes under way at once, >= 1. */
  concurrency: number;
  /** Pause after each delete, milliseconds. */
  delayMs: number;
  /** Provider refusals after which a sandbox is parked. */
  maxAttempts: number;
  /** How long one delete at the provider may take, milliseconds; the claim outlasts it. */
  deleteTimeoutMs: number;
  /** Of the provider's deletes: while it is open nothing is claimed, and while it is half open one at a time. */
  breaker?: Pick<Breaker, 'refresh' | 'state' | 'blockedForMs'> | undefined;
  alert: RaiseAlert;
  /** Told of a sandbox that is parked. */
  onParked?: ((sandboxId: string) => void) | undefined;
}

export interface CleanUpCounts {
  due: number;
  deleted: number;
  recycled: number;
  failed: number;
  /** Failed for the last time: they wait for an operator. */
  parked: number;
  /** Left untouched: another replica was at work on them, or the run ended early. */
  skipped: number;
  /** Left untouched because of a dry run; only there in one. */
  dry_run_blocked?: number;
}

type Used = PendingSandbox | FailedSandbox;
type Ending =
  | 'deleted'
  | 'recycled'
  | 'failed'
  | 'parked'
  | 'skipped'
  | 'provider_says_later'
  | 'breaker_open'
  | 'dry_run';

/**
 * A claim outlasts its delete by this much, so that a cleaner whose clock is ahead does not take over while the delete
 * may still be on its way:
 *
 *     claimed ──── delete, deleteTimeoutMs at most ────┊──── CLAIM_MARGIN_MS ────▶ claim over, another may take it
 */
const CLAIM_MARGIN_MS = 30_000;
/** A description that changes, or another transaction on the sandbox, is in the way once or twice, not for ever. */
const MAX_TRIES = 10;

/** The wait before a cleaner comes again. */
const BACKOFF = { baseMs: 60_000, maxMs: 3_600_000, multiplier: 2 };

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
    const counts: CleanUpCounts = { due: 0, deleted: 0, recycled: 0, failed: 0, parked: 0, skipped: 0 };
    const due = await findDue(deps, context);
    counts.due = due.length;
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
    if (rejected) throw rejected.reason;
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

const isUsed = (sandbox: Sandbox): sandbox is Used =>
  sandbox.status === 'pending_deletion' || sandbox.status === 'deletion_failed';

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

async function deleteUnderClaim(
  deps: CleanUpDeps,
  seen: Used,
  context: CallContext,
  pauseUntil: (ms: number) => void,
  onProgress?: () => void,
): Promise<Ending> {
  const claimId = deps.newId();
  const nowMs = deps.clock.nowMs();
  const claimed = claim(seen, claimId, nowMs + deps.deleteTimeoutMs + CLAIM_MARGIN_MS, nowMs);
  if (!(await deps.store.write({ seen, next: claimed }, context.signal))) return 'skipped';

  let outcome: DeleteOutcome;
  // A delete that was sent is seen through even when the run is told to stop: its outcome belongs in the record.
  const time = limitTime(deps.deleteTimeoutMs);
  try {
    outcome = await deps.deleteOnce(claimed, time.signal, onProgress);
  } catch (error) {
    if (error instanceof BreakerOpenError) {
      // It opened between the look at it and the call: nothing was sent, and the sandbox is due as it was.
      const { dueMs = nowMs } = seen.cleanup;
      pauseUntil(deps.clock.nowMs() + error.retryAfterMs);
      await settle(deps, claimed, claimId, context, {
        action: 'cleanup_postponed',
        detail: 'breaker_open',
        end: (sandbox, at) => unclaim(sandbox, dueMs, at),
      });
      return 'breaker_open';
    }
    if (error instanceof BrokerError && error.code === 'EFFECT_IN_PROGRESS') {
      // A cleaner that was thought dead is still at it by its own clock.
      const laterMs = deps.clock.nowMs() + (error.retryAfterSeconds ?? 0) * 1000;
      await settle(deps, claimed, claimId, context, {
        action: 'cleanup_postponed',
        detail: 'in_progress',
        end: (sandbox, at) => unclaim(sandbox, laterMs, at),
      });
      return 'skipped';
    }
    if (!(error instanceof ProviderError)) throw error;
    return await settleFailure(deps, claimed, claimId, error, context, pauseUntil);
  } finally {
    time.clear();
  }
  const ending = outcome === 'recycled' ? 'recycled' : 'deleted';
  const done = await settle(deps, claimed, claimId, context, {
    action: `cleanup_${ending}`,
    detail: outcome,
    end: (sandbox, at) => (outcome === 'recycled' ? recycle(sandbox, at) : bury(sandbox, outcome, at)),
  });
  return done ? ending : 'skipped';
}

async function settleFailure(
  deps: CleanUpDeps,
  claimed: Used,
  claimId: string,
  error: ProviderError,
  context: CallContext,
  pauseUntil: (ms: number) => void,
): Promise<Ending> {
  const nowMs = deps.clock.nowMs();
  if (error.kind === 'rate_limited') {
    // Not this sandbox's fault: nothing is counted against it.
    const untilMs = nowMs + (error.retryAfterMs ?? BACKOFF.baseMs);
    pauseUntil(untilMs);
    await settle(deps, claimed, claimId, context, {
      action: 'cleanup_postponed',
      end: (sandbox, at) => unclaim(sandbox, untilMs, at),
    });
    return 'provider_says_later';
  }
  const retries = claimed.cleanup.retries + 1;
  const park = retries >= deps.maxAttempts;
  const waitMs = backoffDelayMs(BACKOFF, retries - 1, Math.random());
  const done = await settle(deps, claimed, claimId, context, {
    action: 'cleanup_failed',
    detail: error.kind,
    end: (sandbox, at) => failDeletion(sandbox, error.kind, park ? undefined : nowMs + waitMs, at),
  });
  if (!done) return 'skipped';
  if (!park) return 'failed';
  deps.onParked?.(claimed.id);
  deps.alert({
    task: 'cleanup',
    reason: 'deletion_parked',
    severity: 'error',
    context: { sandbox_id: claimed.id, attempts: retries, last_error: error.kind },
  });
  return 'parked';
}

/**
 * Writes how the claimed delete ended, for as long as the claim is ours; a sync may have changed the description in
 * between. False when another cleaner has taken over, or will: then its outcome counts.
 */
async function settle(
  deps: CleanUpDeps,
  claimed: Used,
  claimId: string,
  context: CallContext,
  {
    action,
    detail,
    end,
  }: { action: string; detail?: string; end: (sandbox: Used, nowMs: number) => Sandbox },
): Promise<boolean> {
  let seen: Used = claimed;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const next = end(seen, deps.clock.nowMs());
    const event = eventOf(seen, next, action, context, detail);
    if (await deps.store.write({ seen, next, event })) return true;
    const current = await deps.store.get(claimed.id);
    if (!current || !isUsed(current) || current.cleanup.claimId !== claimId) return false;
    seen = current;
  }
  // Whoever claims it when this claim is over finds the effect done, and writes its end.
  return false;
}
