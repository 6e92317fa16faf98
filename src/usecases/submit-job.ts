import { BrokerError } from '../domain/errors.ts';
import type { JobRequest, JobStore, PendingJob } from '../domain/job.ts';
import type { CallContext } from './context.ts';

/** Throws `BUSY` while the queue is full, `STORE_UNAVAILABLE`. */
export type SubmitJob = (request: JobRequest, context: CallContext) => Promise<PendingJob>;

/**
 * More than operators and their scripts ever have to wait for; past it somebody submits in a loop. Counted by the last
 * known length, so that a storm may overshoot it a little.
 */
export const MAX_QUEUED_JOBS = 1_000;
const FULL_RETRY_AFTER_SECONDS = 30;

/** Puts a job into the queue; it survives this process, and the run will carry the submitter's correlation id. */
export function submitJob(deps: {
  jobs: Pick<JobStore, 'submit'>;
  queueLength: () => number;
  /** Tells this replica's worker that there is something to do. */
  announce: () => void;
}): SubmitJob {
  return async (request, { actor, requestId, correlationId, signal }) => {
    if (deps.queueLength() >= MAX_QUEUED_JOBS) {
      throw new BrokerError('BUSY', `${MAX_QUEUED_JOBS} jobs are waiting already.`, {
        retryAfterSeconds: FULL_RETRY_AFTER_SECONDS,
      });
    }
    const job = await deps.jobs.submit(request, { actor, requestId, correlationId }, signal);
    deps.announce();
    return job;
  };
}
