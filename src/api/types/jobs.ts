// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** A job is in the queue; Location says where to ask for it. */
export interface JobAccepted {
  job_id: string;
  status: 'pending';
}

/** A job. What makes no sense in its status is not there. */
export interface Job {
  job_id: string;
  type: 'sync' | 'cleanup' | 'expire' | 'purge';
  status: 'pending' | 'running' | 'completed' | 'failed';
  options: Record<string, unknown>;
  /** Runs that were begun, this one included. */
  attempts: number;
  /** When it was put into the queue, epoch seconds. */
  submitted_at: number;
  /** It waits for a run that is under way; the next try, epoch seconds. */
  not_before?: number | undefined;
  /** Start of the last run, epoch seconds. */
  started_at?: number | undefined;
  /** End of the last run, epoch seconds. */
  ended_at?: number | undefined;
  /** The replica that runs it. */
  worker?: string | undefined;
  /** What the run did, and `duration_ms`. */
  result?: Record<string, number> | undefined;
  /** Nothing that cannot be undone was done. */
  dry_run?: true | undefined;
  /** Why it failed. */
  error?:
    | {
        code: string;
        message: string;
      }
    | undefined;
  submitted_by: string;
  /** Of the request that submitted it. The run logs the id of the job. */
  request_id: string;
  /** Of the request that submitted it, and of the run. */
  correlation_id: string;
}

/** One page, the newest first. It may be short and still have a cursor. */
export interface JobList {
  jobs: Job[];
  /** Jobs on this page. */
  count: number;
  /** For the next page; absent on the last one. */
  cursor?: string | undefined;
}
