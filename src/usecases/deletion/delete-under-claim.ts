import type { Clock, NewId } from '../../clock.ts';
import { claim, unclaim } from '../../domain/cleanup.ts';
import { recycle } from '../../domain/cooldown.ts';
import { assertNever, BrokerError, hasCode } from '../../domain/errors.ts';
import { eventOf } from '../../domain/event.ts';
import { backoffDelayMs } from '../../domain/resilience/backoff.ts';
import type { FailedSandbox, PendingSandbox, Sandbox } from '../../domain/sandbox.ts';
import { bury, failDeletion, seeOff } from '../../domain/transitions.ts';
import { ProviderError } from '../../provider/provider.ts';
import { BreakerOpenError } from '../../safety/index.ts';
import type { SandboxStore } from '../../store/sandboxes/sandboxes.ts';
import { limitTime } from '../../time-limit.ts';
import type { RaiseAlert } from '../alert.ts';
import type { CallContext } from '../context.ts';
import type { DeleteOnce } from './delete-once.ts';

export interface DeleteUnderClaimDeps {
  deleteOnce: DeleteOnce;
  store: Pick<SandboxStore, 'get' | 'write'>;
  clock: Clock;
  newId: NewId;
  /** Provider refusals after which a sandbox is parked. */
  maxAttempts: number;
  /** How long one delete at the provider may take, milliseconds; the claim outlasts it. */
  deleteTimeoutMs: number;
  /** How long a delete whose answer never came may be under way at the provider, milliseconds. */
  deleteMayRunMs: number;
  /** How long after it was cleaned a sandbox is free, milliseconds. */
  cooldownMs: number;
  alert: RaiseAlert;
  /** Told of a sandbox that is parked. */
  onParked?: ((sandboxId: string) => void) | undefined;
}

export type Used = PendingSandbox | FailedSandbox;
/** How one sandbox's turn in a cleanup ended, unless its delete failed. */
export type Ending = 'deleted' | 'accepted' | 'recycled' | 'skipped' | 'breaker_open' | 'dry_run';

/** A delete that failed. Its claim is held until {@link settleFailure}: whose fault it was shows by how the others end. */
export interface Failure {
  claimed: Used;
  claimId: string;
  /** Nobody had set out before. */
  untried: true | undefined;
  error: ProviderError;
  /** Epoch milliseconds. */
  atMs: number;
}

/**
 * A claim outlasts its delete by as long as that may be under way at the provider, and by this much at least, so that a
 * cleaner whose clock is ahead does not take over too early. Nothing is sent after the delete's own time:
 *
 *     claimed ──── delete, deleteTimeoutMs at most ────┊──── deleteMayRunMs ────▶ claim over, another may take it
 */
const CLAIM_MARGIN_MS = 30_000;
/** A description that changes, or another transaction on the sandbox, is in the way once or twice, not for ever. */
const MAX_TRIES = 10;

/** Each of them with the store's own retries. */
const END_TRIES = 3;

/** The wait before a cleaner comes again: after failures that count against the sandbox, and after others. */
const BACKOFF = { baseMs: 60_000, maxMs: 3_600_000, multiplier: 2 };
const BACKOFF_OF_OTHERS = { ...BACKOFF, maxMs: 600_000 };

export const isUsed = (sandbox: Sandbox): sandbox is Used =>
  sandbox.status === 'pending_deletion' || sandbox.status === 'deletion_failed';

/** Deletes one used sandbox at the provider under a claim of its own, and writes how that ended, unless it failed. */
export async function deleteUnderClaim(
  deps: DeleteUnderClaimDeps,
  seen: Used,
  context: CallContext,
  onProgress?: () => void,
): Promise<Ending | Failure> {
  const claimId = deps.newId();
  const nowMs = deps.clock.nowMs();
  const sendBeforeMs = nowMs + deps.deleteTimeoutMs;
  const claimEndMs = sendBeforeMs + Math.max(deps.deleteMayRunMs, CLAIM_MARGIN_MS);
  const claimed = claim(seen, claimId, claimEndMs, nowMs);
  context.assertHeld?.();
  // Not given up when the run is told to stop: a claim whose answer nobody awaits may have been granted.
  if (!(await deps.store.write({ seen, next: claimed }))) return 'skipped';

  const { untried } = seen.cleanup;
  let outcome: Awaited<ReturnType<DeleteOnce>>;
  // A delete that was sent is seen through even when the run is told to stop: its outcome belongs in the record.
  const time = limitTime(deps.deleteTimeoutMs);
  // By the wall clock, too: timers stand still while a machine is suspended.
  const assertInTime = () => {
    if (deps.clock.nowMs() >= sendBeforeMs) throw tooLate();
  };
  try {
    outcome = await deps.deleteOnce(seen, assertInTime, time.signal, onProgress);
  } catch (error) {
    if (error instanceof BreakerOpenError) {
      // It opened between the look at it and the call: nothing was sent, and the sandbox is due as it was.
      const { dueMs = nowMs } = seen.cleanup;
      await settle(deps, claimed, claimId, context, {
        action: 'cleanup_postponed',
        detail: 'breaker_open',
        end: (sandbox, at) => unclaim(sandbox, { dueMs, untried }, at),
      });
      return 'breaker_open';
    }
    if (hasCode(error, 'SHUTTING_DOWN')) {
      // Nothing was sent: it is due as it was, for another replica at once.
      await settle(deps, claimed, claimId, context, {
        action: 'cleanup_postponed',
        detail: 'shutting_down',
        end: (sandbox, at) => unclaim(sandbox, { dueMs: seen.cleanup.dueMs ?? nowMs, untried }, at),
      });
      return 'skipped';
    }
    if (hasCode(error, 'EFFECT_IN_PROGRESS')) {
      // A cleaner that was thought dead is still at it by its own clock.
      const dueMs = deps.clock.nowMs() + (error.retryAfterSeconds ?? 0) * 1000;
      await settle(deps, claimed, claimId, context, {
        action: 'cleanup_postponed',
        detail: 'in_progress',
        end: (sandbox, at) => unclaim(sandbox, { dueMs, untried }, at),
      });
      return 'skipped';
    }
    if (!(error instanceof ProviderError)) throw error;
    return { claimed, claimId, untried, error, atMs: deps.clock.nowMs() };
  } finally {
    time.clear();
  }
  const { ending, end } = endOf(outcome, deps.cooldownMs);
  const writeEnd = () =>
    settle(deps, claimed, claimId, context, { action: `cleanup_${ending}`, detail: outcome, end });
  return (await untilWritten(writeEnd)) ? ending : 'skipped';
}

/**
 * It happened, and the end is what says so: a store that does not take it at once is asked again. Where all is in vain, the
 * claim that is left behind tells the next cleaner to ask the provider.
 */
async function untilWritten(write: () => Promise<boolean>): Promise<boolean> {
  let failure: unknown;
  for (let tries = 0; tries < END_TRIES; tries++) {
    try {
      if (await write()) return true;
      if (failure === undefined) return false;
      // One that got no answer may have come true.
      break;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function endOf(
  outcome: Awaited<ReturnType<DeleteOnce>>,
  cooldownMs: number,
): {
  ending: 'deleted' | 'accepted' | 'recycled';
  end: (sandbox: Used, nowMs: number) => Sandbox;
} {
  switch (outcome) {
    case 'recycled':
      return { ending: 'recycled', end: (sandbox, nowMs) => recycle(sandbox, nowMs, cooldownMs) };
    case 'accepted':
      return { ending: 'accepted', end: (sandbox, nowMs) => seeOff(sandbox, 'destroyed', nowMs) };
    case 'seems_gone':
      return { ending: 'accepted', end: (sandbox, nowMs) => seeOff(sandbox, 'already_gone', nowMs) };
    case 'destroyed':
    case 'already_gone':
      return { ending: 'deleted', end: (sandbox, nowMs) => bury(sandbox, outcome, nowMs) };
    default:
      return assertNever(outcome);
  }
}

const tooLate = () =>
  new BrokerError('EFFECT_IN_PROGRESS', 'The time to delete it is over; another may be at it.', {
    retryAfterSeconds: 0,
  });

/**
 * Writes that a delete failed. `its_own`: others went through meanwhile, so that it counts against the sandbox, which is
 * parked at last; else no retry is used up, and it is due again when the queue has rested, or later where nobody knows.
 */
export async function settleFailure(
  deps: DeleteUnderClaimDeps,
  { claimed, claimId, untried, error, atMs }: Failure,
  fault: 'its_own' | { restMs: number | undefined },
  context: CallContext,
): Promise<'failed' | 'parked' | 'skipped'> {
  if (error.kind === 'rate_limited') {
    // It was not even looked at: as if nobody had set out.
    const dueMs = atMs + (error.retryAfterMs ?? BACKOFF.baseMs);
    await settle(deps, claimed, claimId, context, {
      action: 'cleanup_postponed',
      end: (sandbox, at) => unclaim(sandbox, { dueMs, untried }, at),
    });
    return 'skipped';
  }
  const { retries, attempts } = claimed.cleanup;
  const restMs = fault === 'its_own' ? undefined : fault.restMs;
  const counts = fault === 'its_own' && isAboutSandbox(error);
  const waitMs = counts
    ? backoffDelayMs(BACKOFF, retries, Math.random())
    : (restMs ?? backoffDelayMs(BACKOFF_OF_OTHERS, Math.max(0, attempts - 1), Math.random()));
  const mayRunUntilMs = error.mayBeUnderWay ? atMs + deps.deleteMayRunMs : undefined;
  const dueMs = Math.max(deps.clock.nowMs() + waitMs, mayRunUntilMs ?? 0);
  const park = counts && retries + 1 >= deps.maxAttempts;
  const done = await settle(deps, claimed, claimId, context, {
    action: 'cleanup_failed',
    detail: error.kind,
    end: (sandbox, at) =>
      failDeletion(sandbox, error.kind, { dueMs: park ? undefined : dueMs, counts, mayRunUntilMs }, at),
  });
  if (!done) return 'skipped';
  if (!park) return 'failed';
  deps.onParked?.(claimed.id);
  deps.alert({
    task: 'cleanup',
    reason: 'deletion_parked',
    severity: 'error',
    context: { sandbox_id: claimed.id, attempts: retries + 1, last_error: error.kind },
  });
  return 'parked';
}

/** Did the provider answer about this very sandbox? A wrong token and a provider that is not there are about all. */
const isAboutSandbox = ({ mayBeUnderWay, kind, status }: ProviderError): boolean =>
  !mayBeUnderWay && !(kind === 'unauthorized' && status !== 403) && kind !== 'network' && status !== 503;

/**
 * Writes how the claimed delete ended, for as long as the claim is ours; a sync may have changed the description in
 * between. False when another cleaner has taken over, or will: then its outcome counts.
 */
async function settle(
  deps: DeleteUnderClaimDeps,
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
  // Whoever claims it when this claim is over asks the provider first, and writes its end.
  return false;
}
