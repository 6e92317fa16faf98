import { BrokerError } from '../domain/errors.ts';
import type { Job, JobReads, JobStatus, JobType } from '../domain/job.ts';
import type { CallContext } from './context.ts';
import { decodeJobCursor, encodeCursor } from './cursor.ts';

export interface ListJobsInput {
  status?: JobStatus | undefined;
  type?: JobType | undefined;
  /** 1 to 100. */
  limit: number;
  /** From the previous page of the same query. */
  cursor?: string | undefined;
}

/** One page, the newest first. It may be short and still have a `cursor`. Throws `INVALID_CURSOR`, `STORE_UNAVAILABLE`. */
export type ListJobs = (
  input: ListJobsInput,
  context: CallContext,
) => Promise<{ jobs: Job[]; cursor?: string | undefined }>;

export function listJobs({ jobs: store }: { jobs: Pick<JobReads, 'list'> }): ListJobs {
  return async ({ status, type, limit, cursor }, { signal }) => {
    const start = cursor === undefined ? undefined : decodeJobCursor(cursor);
    if (cursor !== undefined && (!start || start.status !== status || start.type !== type)) {
      throw new BrokerError(
        'INVALID_CURSOR',
        'The cursor is not one this query gave; start again without it.',
        {
          details: { field: 'cursor' },
        },
      );
    }
    const { jobs, after } = await store.list({ status, type, limit, after: start?.last }, signal);
    if (after === undefined) return { jobs };
    return { jobs, cursor: encodeCursor({ list: 'jobs', status, type, last: after }) };
  };
}
