import type { Clock, NewId } from '../clock.ts';
import type { Config } from '../config/index.ts';
import { BrokerError } from '../domain/errors.ts';
import { JOB_TYPES, type JobOutcome, type JobRequest } from '../domain/job.ts';
import type { KeyedOutcome } from '../domain/resilience/kept-answer.ts';
import { outcomeOf } from '../domain/run-outcome.ts';
import type { Runs } from '../http/routes/runs.ts';
import { createIdempotencyCounts } from '../live/idempotency-counts.ts';
import type { OnProgress, RunProgress } from '../loops/run.ts';
import { createHeartbeat, createWorker, type DoJob, type JobReport, type Worker } from '../safety/index.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { trustedClock } from '../store/dynamo/store-time.ts';
import { createJobReads } from '../store/shared/job-reads.ts';
import { createJobStore } from '../store/shared/jobs.ts';
import { createKeptAnswers } from '../store/shared/kept-answers.ts';
import { createRememberedKeys } from '../store/shared/remembered-keys.ts';
import type { JobMetrics } from '../telemetry/job-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { RaiseAlert } from '../usecases/alert.ts';
import type { CallContext } from '../usecases/context.ts';
import { getJob } from '../usecases/get-job.ts';
import { listJobs } from '../usecases/list-jobs.ts';
import { listRememberedKeys } from '../usecases/list-remembered-keys.ts';
import { submitJob } from '../usecases/submit-job.ts';

interface JobsOptions {
  config: Pick<Config, 'maxWorkers' | 'workerIntervalMs' | 'idempotencyTtlMs'>;
  client: StoreClient;
  clock: Clock;
  newId: NewId;
  replicaId: string;
  /** The loops' work, which the jobs go through, too. */
  runs: Runs;
  logger: Logger;
  metrics: JobMetrics;
  alert: RaiseAlert;
  /** A job was submitted here. */
  onJob: () => void;
}

/** Most ends are everyday things, and a wait may be told of many times; what broke off is worth a look. */
const LEVELS: Readonly<Record<JobOutcome, 'debug' | 'info' | 'warn' | 'error'>> = {
  completed: 'info',
  failed: 'warn',
  postponed: 'debug',
  interrupted: 'info',
  lost: 'warn',
  abandoned: 'error',
};

/** A job that left undone what it was for has not been completed. */
const refused = ({ stale_refused: lacking = 0 }: Readonly<Record<string, number>>) =>
  new BrokerError(
    'SYNC_REFUSED',
    `The listing lacks ${lacking} of the free sandboxes, too many to be believed; the rest of the sync was done. Look at the provider, or sync with force.`,
  );

export type Jobs = ReturnType<typeof composeJobs>;

/** The queue of jobs with its worker, and the kept answers of operators' requests; nothing runs before `start()`. */
export function composeJobs({
  config,
  client,
  clock,
  newId,
  runs,
  logger,
  metrics,
  ...options
}: JobsOptions) {
  const trusted = trustedClock(clock, client);
  const jobs = createJobStore(client, trusted, newId);
  const reads = createJobReads(client, clock, (sortKey, error) =>
    logger.error({ action: 'read', sort_key: sortKey, err: error }, 'a job in the table cannot be read'),
  );

  const run = (request: JobRequest, context: CallContext, onProgress: OnProgress) => {
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
  };

  /** How far the jobs under way here have come, by id. */
  const progress = new Map<string, RunProgress>();
  const work: DoJob = async (request, context, onProgress) => {
    // A job's run goes by the id of the job.
    const { requestId: jobId } = context;
    const result = await run(request, context, (step) => {
      onProgress();
      if (step) progress.set(jobId, step);
    }).finally(() => progress.delete(jobId));
    if (outcomeOf(result.counts) === 'refused') throw refused(result.counts);
    return result;
  };

  const report = ({ job, outcome, durationMs, error }: JobReport) => {
    metrics.jobRun(job.request.type, outcome);
    const fields = {
      action: 'job',
      outcome,
      job_id: job.id,
      job_type: job.request.type,
      attempts: job.attempts,
      latency_ms: durationMs,
      // That another run is under way is said by the outcome.
      ...(error !== undefined && outcome === 'failed' && { err: error }),
    };
    logger[LEVELS[outcome]](fields, `job: ${outcome}`);
  };

  const worker: Worker = createWorker({
    jobs,
    reads,
    work,
    clock,
    replicaId: options.replicaId,
    heartbeat: createHeartbeat(),
    maxWorkers: config.maxWorkers,
    intervalMs: config.workerIntervalMs,
    report,
    onStart: (type, delayMs) => metrics.jobStarted(type, delayMs / 1000),
    onQueueLength: metrics.setJobQueueLength,
    onError: (error) =>
      logger.warn(
        { action: 'job_queue', outcome: 'error', err: error },
        'the queue of jobs could not be read or written, and will be tried again',
      ),
    alert: options.alert,
    // A second one would only be told that the first is under way.
    oneOfEach: JOB_TYPES,
  });

  const announce = () => {
    worker.announce();
    options.onJob();
  };
  const counts = createIdempotencyCounts();
  return {
    worker,
    useCases: {
      submitJob: submitJob({ jobs, queueLength: worker.queueLength, announce }),
      getJob: getJob({ jobs: reads }),
      listJobs: listJobs({ jobs: reads }),
      listRememberedKeys: listRememberedKeys({ keys: createRememberedKeys(client, trusted) }),
    },
    idempotency: {
      answers: createKeptAnswers(client, {
        clock: trusted,
        newId,
        replicaId: options.replicaId,
        ttlMs: config.idempotencyTtlMs,
      }),
      observe: (outcome: KeyedOutcome) => {
        counts.request(outcome);
        metrics.keyedRequest(outcome);
      },
      counts,
    },
    /** Operators' requests with a key that this replica has carried out since its start; repetitions do not count. */
    idempotentOperations: () => {
      const { requests } = counts.report();
      return requests.executed + requests.unstored;
    },
    progressOf: (jobId: string): RunProgress | undefined => progress.get(jobId),
  };
}
