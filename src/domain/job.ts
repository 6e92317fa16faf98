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

/** A kind of work with its options. */
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

interface JobBase {
  /** Sorts in the order of submission. */
  id: string;
  request: JobRequest;
  submitter: Actor;
  submittedAtMs: number;
  /** Runs that were begun, without those that could not take place or were told to stop. */
  attempts: number;
  /** How often in a row the work could not begin because it was under way elsewhere. */
  waits: number;
  /** Grows with every change of the status. */
  generation: number;
}

export interface PendingJob extends JobBase {
  status: 'pending';
  /** Not to be tried before; absent: at once. */
  notBeforeMs?: number | undefined;
}

/** Times of a claim: the worker that has it renews it; past its end, any other may take the job over. */
export interface RunningJob extends JobBase {
  status: 'running';
  claimId: string;
  worker: string;
  startedAtMs: number;
  leaseUntilMs: number;
}

interface EndedBase extends JobBase {
  /** The claim under which it ended: a worker whose answer was lost knows its own write by it. */
  claimId: string;
  startedAtMs: number;
  endedAtMs: number;
}

export interface CompletedJob extends EndedBase {
  status: 'completed';
  result: JobResult;
}

export interface FailedJob extends EndedBase {
  status: 'failed';
  error: JobError;
}

export type OpenJob = PendingJob | RunningJob;
export type EndedJob = CompletedJob | FailedJob;

/** A job's life: pending → running → completed or failed, and back to pending when a run could not take place. */
export type Job = OpenJob | EndedJob;

/** An open job under a new claim; what an earlier claim left behind is gone. */
export function claimJob(
  job: OpenJob,
  claim: { claimId: string; worker: string; leaseMs: number },
  nowMs: number,
): RunningJob {
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
export function putBackJob(job: RunningJob, notBeforeMs?: number): PendingJob {
  return {
    ...base(job),
    attempts: job.attempts - 1,
    status: 'pending',
    waits: notBeforeMs === undefined ? job.waits : job.waits + 1,
    notBeforeMs,
  };
}

export function completeJob(job: RunningJob, result: JobResult, nowMs: number): CompletedJob {
  return { ...ended(job, nowMs), status: 'completed', result };
}

export function failJob(job: RunningJob, error: JobError, nowMs: number): FailedJob {
  return { ...ended(job, nowMs), status: 'failed', error };
}

/** From when on anybody may claim it: it has waited long enough, or the worker that had it is gone. */
export function claimableAtMs(job: OpenJob): number {
  // A lease holds to its last millisecond.
  return job.status === 'running' ? job.leaseUntilMs + 1 : (job.notBeforeMs ?? 0);
}

const base = ({ id, request, submitter, submittedAtMs, attempts, waits, generation }: Job): JobBase => ({
  id,
  request,
  submitter,
  submittedAtMs,
  attempts,
  waits,
  generation: generation + 1,
});

const ended = (job: RunningJob, nowMs: number): EndedBase => ({
  ...base(job),
  claimId: job.claimId,
  startedAtMs: job.startedAtMs,
  endedAtMs: nowMs,
});

/** Where the queue is changed. Everything throws `STORE_UNAVAILABLE`. */
export interface JobStore {
  /** Puts a job at the end of the queue. */
  submit(request: JobRequest, submitter: Actor, signal?: AbortSignal): Promise<PendingJob>;
  /** Takes the job for `leaseMs`; undefined: somebody else did, or it has changed. */
  claim(
    seen: OpenJob,
    options: { worker: string; leaseMs: number },
    signal?: AbortSignal,
  ): Promise<RunningJob | undefined>;
  /** Holds the claim for another `leaseMs`; false when it was lost. */
  renew(job: RunningJob, leaseMs: number, signal?: AbortSignal): Promise<boolean>;
  /** Writes how a claimed job went on, and counts it when it ended; false when the claim was lost: then nothing is written. */
  settle(job: RunningJob, next: PendingJob | EndedJob, signal?: AbortSignal): Promise<boolean>;
}

export interface JobQuery {
  status?: JobStatus | undefined;
  type?: JobType | undefined;
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

export interface JobReads {
  /** Strongly consistent. */
  get(id: string, signal?: AbortSignal): Promise<Job | undefined>;
  /** The newest first. A page may be short; with `after` there is more to look at. */
  list(query: JobQuery, signal?: AbortSignal): Promise<{ jobs: Job[]; after?: string | undefined }>;
  /** The running ones, then the pending ones, both in the order of their submission. Strongly consistent. */
  open(signal?: AbortSignal): AsyncGenerator<OpenJob, void, void>;
  totals(signal?: AbortSignal): Promise<JobTotals>;
}
