import type { Clock, NewId } from './clock.ts';
import type { Config } from './config.ts';
import type { JobOutcome } from './domain/job.ts';
import type { KeyedOutcome } from './domain/kept-answer.ts';
import type { Runs } from './http/routes/runs.ts';
import { createHeartbeat } from './loops/heartbeat.ts';
import type { DoJob } from './loops/run-job.ts';
import { createWorker, type JobReport, type Worker } from './loops/worker.ts';
import { createKeptAnswers } from './store/admin-idempotency.ts';
import type { StoreClient } from './store/client.ts';
import { createJobReads } from './store/job-reads.ts';
import { createJobStore } from './store/jobs.ts';
import { runWithCorrelation } from './telemetry/correlation.ts';
import type { JobMetrics } from './telemetry/job-metrics.ts';
import type { Logger } from './telemetry/logger.ts';
import type { RaiseAlert } from './usecases/alert.ts';
import { getJob } from './usecases/get-job.ts';
import { listJobs } from './usecases/list-jobs.ts';
import { submitJob } from './usecases/submit-job.ts';

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
  const jobs = createJobStore(client, clock, newId);
  const reads = createJobReads(client, clock, (sortKey, error) =>
    logger.error({ action: 'read', sort_key: sortKey, err: error }, 'a job in the table cannot be read'),
  );

  const work: DoJob = (request, context, onProgress) => {
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
    correlate: (ids, run) => runWithCorrelation(ids, run),
  });

  let executed = 0;
  return {
    worker,
    useCases: {
      submitJob: submitJob({ jobs, queueLength: worker.queueLength, announce: worker.announce }),
      getJob: getJob({ jobs: reads }),
      listJobs: listJobs({ jobs: reads }),
    },
    idempotency: {
      answers: createKeptAnswers(client, {
        clock,
        newId,
        replicaId: options.replicaId,
        ttlMs: config.idempotencyTtlMs,
      }),
      observe: (outcome: KeyedOutcome) => {
        if (outcome === 'executed' || outcome === 'unstored') executed++;
        metrics.keyedRequest(outcome);
      },
    },
    /** Operators' requests with a key that this replica has carried out since its start; repetitions do not count. */
    idempotentOperations: () => executed,
  };
}
