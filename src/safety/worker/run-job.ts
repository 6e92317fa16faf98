import type { Clock } from '../../clock.ts';
import { BrokerError, hasCode } from '../../domain/errors.ts';
import type { Actor } from '../../domain/event.ts';
import {
  type AnyJobRequest,
  completeJob,
  failJob,
  type JobError,
  type JobOutcome,
  type JobRequest,
  type JobResult,
  type JobStore,
  putBackJob,
  type RunningJob,
} from '../../domain/job.ts';
import { type Hold, holdOn } from '../../hold.ts';

/** Who submitted the job, under whose ids its run goes, and when it is to end its current step. */
export interface RunContext extends Actor {
  signal: AbortSignal;
  /** Throws, and `signal` fires, once the job may be another worker's: to be asked right before each step that acts. */
  assertHeld: () => void;
}

/** Does a job's work. Throws `ALREADY_RUNNING` when it cannot take place now. */
export type DoJob<Request extends AnyJobRequest = JobRequest, Result = JobResult> = (
  request: Request,
  context: RunContext,
  onProgress: () => void,
) => Promise<Result>;

export interface RunJobDeps<Request extends AnyJobRequest = JobRequest, Result = JobResult> {
  jobs: Pick<JobStore<Request, Result>, 'renew' | 'settle'>;
  work: DoJob<Request, Result>;
  clock: Clock;
  /** A sign of life of the work. */
  onProgress: () => void;
  /** What is kept of an error; by its code, and nothing of what nobody expected, unless given. */
  describeError?: ((error: unknown) => JobError) | undefined;
}

/** How long a claim holds without being renewed; a worker that was killed is missed for as long. */
export const CLAIM_MS = 30_000;
/** Runs begun that nobody came back from, after which a job is given up: it may be the one that kills its workers. */
export const MAX_ATTEMPTS = 3;

/**
 * Wait before the work that was under way elsewhere is tried again: `min(base · 2^waits, max)`. What the refusal itself
 * says is when the turn would lapse; most runs end sooner.
 */
const WAIT_BASE_MS = 250;
const WAIT_MAX_MS = 5_000;
const MAX_MESSAGE_LENGTH = 500;

/**
 * Runs a claimed job, holding the claim, and writes how it went on. When `stopping` fires, the work ends its current
 * step and the job goes back to the queue. Throws only when the store fails: then the claim lapses by itself.
 */
export async function runJob<Request extends AnyJobRequest, Result>(
  deps: RunJobDeps<Request, Result>,
  job: RunningJob<Request>,
  stopping: AbortSignal,
): Promise<{ outcome: JobOutcome; error?: unknown }> {
  const { jobs, clock } = deps;
  if (job.attempts > MAX_ATTEMPTS) {
    const attempts = job.attempts - 1;
    const message = `${attempts} workers began it and none came back.`;
    const given = failJob({ ...job, attempts }, { code: 'ABANDONED', message }, clock.nowMs());
    return { outcome: (await jobs.settle(job, given)) ? 'abandoned' : 'lost' };
  }
  const claim = await holdOn({
    clock,
    untilMs: job.leaseUntilMs,
    ttlMs: CLAIM_MS,
    renew: (signal) => jobs.renew(job, CLAIM_MS, signal),
    reason: new Error(`the claim on ${job.id} was lost`),
  });
  const run = await attempt(deps, job, claim, stopping).finally(claim.release);
  if (claim.lost.aborted) return { outcome: 'lost' };
  const { next, outcome } = settlement(deps, job, run, stopping.aborted);
  const written = await jobs.settle(job, next);
  return { outcome: written ? outcome : 'lost', ...('error' in run && { error: run.error }) };
}

type Run<Result> = { result: Result } | { error: unknown };

async function attempt<Request extends AnyJobRequest, Result>(
  { work, onProgress }: RunJobDeps<Request, Result>,
  job: RunningJob<Request>,
  { lost, assertHeld }: Hold,
  stopping: AbortSignal,
): Promise<Run<Result>> {
  const { actor, correlationId } = job.submitter;
  const signal = AbortSignal.any([stopping, lost]);
  const context: RunContext = { actor, requestId: job.id, correlationId, signal, assertHeld };
  try {
    signal.throwIfAborted();
    return { result: await work(job.request, context, onProgress) };
  } catch (error) {
    return { error };
  }
}

/** What becomes of the job. Work that was told to stop may return as if it were done, and only part of it is. */
function settlement<Request extends AnyJobRequest, Result>(
  { clock, describeError = describe }: RunJobDeps<Request, Result>,
  job: RunningJob<Request>,
  run: Run<Result>,
  stopped: boolean,
) {
  const nowMs = clock.nowMs();
  if (stopped) return { outcome: 'interrupted' as const, next: putBackJob(job) };
  if ('result' in run) return { outcome: 'completed' as const, next: completeJob(job, run.result, nowMs) };
  if (hasCode(run.error, 'ALREADY_RUNNING')) {
    const waitMs = Math.min(WAIT_BASE_MS * 2 ** Math.min(job.waits, 10), WAIT_MAX_MS);
    return { outcome: 'postponed' as const, next: putBackJob(job, nowMs + waitMs) };
  }
  return { outcome: 'failed' as const, next: failJob(job, describeError(run.error), nowMs) };
}

/** What an operator is told; what nobody expected stays in the log. */
function describe(error: unknown): JobError {
  if (!(error instanceof BrokerError) || error.code === 'INTERNAL') {
    return { code: 'INTERNAL', message: 'Something went wrong inside the broker.' };
  }
  return { code: error.code, message: error.message.slice(0, MAX_MESSAGE_LENGTH) };
}
