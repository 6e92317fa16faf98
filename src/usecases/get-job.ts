import { BrokerError } from '../domain/errors.ts';
import type { Job, JobReads } from '../domain/job.ts';
import type { CallContext } from './context.ts';

/** Throws `JOB_NOT_FOUND`, `STORE_UNAVAILABLE`. */
export type GetJob = (id: string, context: CallContext) => Promise<Job>;

/** One job, for as long as it is remembered: a week after its end. */
export function getJob({ jobs }: { jobs: Pick<JobReads, 'get'> }): GetJob {
  return async (id, { signal }) => {
    const job = await jobs.get(id, signal);
    if (job === undefined) throw new BrokerError('JOB_NOT_FOUND', 'There is no job with this id (any more).');
    return job;
  };
}
