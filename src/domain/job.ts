import type { Actor } from './event.ts';

/** What a job can be: the work of one of the loops. */
export const JOB_TYPES = ['sync', 'cleanup', 'expire', 'purge'] as const;
export type JobType = (typeof JOB_TYPES)[number];

/** What each kind of work is told. */
export interface JobOptions {
  sync: { force: boolean };
  cleanup: Record<never, never>;
  expire: Record<never, never>;
  purge: { gracePeriodHours: number };
}

/** Any kind of work that a queue can hold; its options are JSON. */
export interface AnyJobRequest {
  type: string;
  options: unknown;
}

/** A kind of the broker's work with its options. */
export type JobRequest = { [Type in JobType]: { type: Type; options: JobOptions[Type] } }[JobType];

export const JOB_STATUSES = ['pending', 'running', 'completed', 'failed'] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

/** What the work did, as flat counts, and how long it took. */
export interface JobResult {
  counts: Record<string, number>;
  durationMs: number;
}

export interface JobError {
  code: string;
  message: string;
}

/**
 * How a run ended. `postponed`: the work was under way elsewhere, the job waits and is tried again. `interrupted`: the
 * worker was told to stop. `lost`: another worker has taken the job over. `abandoned`: too many workers did not survive
 * it. Only `completed`, `failed` and `abandoned` end the job.
 */
export const JOB_OUTCOMES = ['completed', 'failed', 'postponed', 'interrupted', 'lost', 'abandoned'] as const;
export type JobOutcome = (typeof JOB_OUTCOMES)[number];

interface JobBase<Request extends AnyJobRequest = JobRequest> {
  /** Sorts in the order of submission. */
  id: string;
  request: Request;
  submitter: Actor;
  submittedAtMs: number;
  /** Runs that were begun, without those that could not take place or were told to stop. */
  attempts: number;
  /** How often in a row the work could not begin because it was under way elsewhere. */
  waits: number;
  /** Grows with every change of the status. */
  generation: number;
}

export interface PendingJob<Request extends AnyJobRequest = JobRequest> extends JobBase<Request> {
  status: 'pending';
  /** Not to be tried before; absent: at once. */
  notBeforeMs?: number | undefined;
}

/** Times of a claim: the worker that has it renews it; past its end, any other may take the job over. */
export interface RunningJob<Request extends AnyJobRequest = JobRequest> extends JobBase<Request> {
  status: 'running';
  claimId: string;
  worker: string;
  startedAtMs: number;
  leaseUntilMs: number;
}

interface EndedBase<Request extends AnyJobRequest = JobRequest> extends JobBase<Request> {
  /** The claim under which it ended: a worker whose answer was lost knows its own write by it. */
  claimId: string;
  startedAtMs: number;
  endedAtMs: number;
}

export interface CompletedJob<Request extends AnyJobRequest = JobRequest, Result = JobResult>
  extends EndedBase<Request> {
  status: 'completed';
  result: Result;
}

export interface FailedJob<Request extends AnyJobRequest = JobRequest> extends EndedBase<Request> {
  status: 'failed';
  error: JobError;
}

export type OpenJob<Request extends AnyJobRequest = JobRequest> = PendingJob<Request> | RunningJob<Request>;
export type EndedJob<Request extends AnyJobRequest = JobRequest, Result = JobResult> =
  | CompletedJob<Request, Result>
  | FailedJob<Request>;

/** A job's life: pending → running → completed or failed, and back to pending when a run could not take place. */
export type Job<Request extends AnyJobRequest = JobRequest, Result = JobResult> =
  | OpenJob<Request>
  | EndedJob<Request, Result>;

/** An open job under a new claim; what an earlier claim left behind is gone. */
export function claimJob<Request extends AnyJobRequest>(
  job: OpenJob<Request>,
  claim: { claimId: string; worker: string; leaseMs: number },
  nowMs: number,
): RunningJob<Request> {
  return {
    ...base(job),
    attempts: job.attempts + 1,
    status: 'running',
    claimId: claim.claimId,
    worker: claim.worker,
    startedAtMs: nowMs,
    leaseUntilMs: nowMs + claim.leaseMs,
  };
}

/**
 * Back in its place in the queue, and the run does not count. With `notBeforeMs` the work was under way elsewhere and
 * the job waits once more; without, the worker was told to stop.
 */
export function putBackJob<Request extends AnyJobRequest>(
  job: RunningJob<Request>,
  notBeforeMs?: number,
): PendingJob<Request> {
  return {
    ...base(job),
    attempts: job.attempts - 1,
    status: 'pending',
    waits: notBeforeMs === undefined ? job.waits : job.waits + 1,
    notBeforeMs,
  };
}

export function completeJob<Request extends AnyJobRequest, Result>(
  job: RunningJob<Request>,
  result: Result,
  nowMs: number,
): CompletedJob<Request, Result> {
  return { ...ended(job, nowMs), status: 'completed', result };
}

export function failJob<Request extends AnyJobRequest>(
  job: RunningJob<Request>,
  error: JobError,
  nowMs: number,
): FailedJob<Request> {
  return { ...ended(job, nowMs), status: 'failed', error };
}

/** From when on anybody may claim it: it has waited long enough, or the worker that had it is gone. */
export function claimableAtMs(job: OpenJob<AnyJobRequest>): number {
  // A lease holds to its last millisecond.
  return job.status === 'running' ? job.leaseUntilMs + 1 : (job.notBeforeMs ?? 0);
}

const base = <Request extends AnyJobRequest>({
  id,
  request,
  submitter,
  submittedAtMs,
  attempts,
  waits,
  generation,
}: Job<Request, unknown>): JobBase<Request> => ({
  id,
  request,
  submitter,
  submittedAtMs,
  attempts,
  waits,
  generation: generation + 1,
});

const ended = <Request extends AnyJobRequest>(
  job: RunningJob<Request>,
  nowMs: number,
): EndedBase<Request> => ({
  ...base(job),
  claimId: job.claimId,
  startedAtMs: job.startedAtMs,
  endedAtMs: nowMs,
});

/** Where the queue is changed. Everything throws `STORE_UNAVAILABLE`. */
export interface JobStore<Request extends AnyJobRequest = JobRequest, Result = JobResult> {
  /** Puts a job at the end of the queue. */
  submit(request: Request, submitter: Actor, signal?: AbortSignal): Promise<PendingJob<Request>>;
  /** Takes the job for `leaseMs`; undefined: somebody else did, or it has changed. */
  claim(
    seen: OpenJob<Request>,
    options: { worker: string; leaseMs: number },
    signal?: AbortSignal,
  ): Promise<RunningJob<Request> | undefined>;
  /** Holds the claim for another `leaseMs`; false when it was lost. */
  renew(job: RunningJob<Request>, leaseMs: number, signal?: AbortSignal): Promise<boolean>;
  /** Writes how a claimed job went on, and counts it when it ended; false when the claim was lost: then nothing is written. */
  settle(
    job: RunningJob<Request>,
    next: PendingJob<Request> | EndedJob<Request, Result>,
    signal?: AbortSignal,
  ): Promise<boolean>;
}

export interface JobQuery<Request extends AnyJobRequest = JobRequest> {
  status?: JobStatus | undefined;
  type?: Request['type'] | undefined;
  limit: number;
  /** The id behind which the page begins. */
  after?: string | undefined;
}

/** How many wait at the moment, and how many have ever ended one way or the other. */
export interface JobTotals {
  pending: number;
  completed: number;
  failed: number;
}

export interface JobReads<Request extends AnyJobRequest = JobRequest, Result = JobResult> {
  /** Strongly consistent. */
  get(id: string, signal?: AbortSignal): Promise<Job<Request, Result> | undefined>;
  /** The newest first. A page may be short; with `after` there is more to look at. */
  list(
    query: JobQuery<Request>,
    signal?: AbortSignal,
  ): Promise<{ jobs: Job<Request, Result>[]; after?: string | undefined }>;
  /** The running ones, then the pending ones, both in the order of their submission. Strongly consistent. */
  open(signal?: AbortSignal): AsyncGenerator<OpenJob<Request>, void, void>;
  totals(signal?: AbortSignal): Promise<JobTotals>;
}
