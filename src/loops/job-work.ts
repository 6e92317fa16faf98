import { BrokerError } from '../domain/errors.ts';
import type { JobRequest } from '../domain/job.ts';
import { outcomeOf } from '../domain/run-outcome.ts';
import type { DoJob } from '../safety/index.ts';
import type { CallContext } from '../usecases/context.ts';
import type { EndedRun, OnProgress, RunProgress, Runs } from './run.ts';

/** What the jobs under way here do, and how far they have come. */
export interface JobWork {
  /** Carries a job out. Throws `SYNC_REFUSED` for a sync that left undone what it was for. */
  run: DoJob;
  progressOf(jobId: string): RunProgress | undefined;
}

export function createJobWork(runs: Runs): JobWork {
  const progress = new Map<string, RunProgress>();
  return {
    async run(request, context, onProgress) {
      // A job's run goes by the id of the job.
      const { requestId: jobId } = context;
      const result = await runOf(runs, request, context, (step) => {
        onProgress();
        if (step) progress.set(jobId, step);
      }).finally(() => progress.delete(jobId));
      if (outcomeOf(result.counts) === 'refused') throw refused(result.counts);
      return result;
    },
    progressOf: (jobId) => progress.get(jobId),
  };
}

function runOf(
  runs: Runs,
  request: JobRequest,
  context: CallContext,
  onProgress: OnProgress,
): Promise<EndedRun> {
  switch (request.type) {
    case 'sync':
      return runs.sync(request.options, context, onProgress);
    case 'cleanup':
      return runs.cleanup(request.options, context, onProgress);
    case 'expire':
      return runs.expire(request.options, context, onProgress);
    case 'purge':
      return runs.purge(request.options, context, onProgress);
  }
}

/** A job that left undone what it was for has not been completed. */
const refused = ({ stale_refused: lacking = 0 }: Readonly<Record<string, number>>) =>
  new BrokerError(
    'SYNC_REFUSED',
    `The listing lacks ${lacking} of the free sandboxes, too many to be believed; the rest of the sync was done. Look at the provider, or sync with force.`,
  );
