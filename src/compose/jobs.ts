import type { Clock, NewId } from '../clock.ts';
import type { Config } from '../config/index.ts';
import { JOB_TYPES } from '../domain/job.ts';
import type { KeyedOutcome } from '../domain/resilience/kept-answer.ts';
import { createIdempotencyCounts } from '../live/idempotency-counts.ts';
import { createJobWork } from '../loops/job-work.ts';
import type { Runs } from '../loops/run.ts';
import { tellJobs } from '../loops/tell-jobs.ts';
import { createHeartbeat, createWorker, type Worker } from '../safety/index.ts';
import type { StoreClient } from '../store/dynamo/client.ts';
import { trustedClock } from '../store/dynamo/store-time.ts';
import { createJobReads, readJobSequence } from '../store/shared/job-reads.ts';
import { createJobStore } from '../store/shared/jobs.ts';
import { createKeptAnswers } from '../store/shared/kept-answers.ts';
import { createRememberedKeys } from '../store/shared/remembered-keys.ts';
import type { JobMetrics } from '../telemetry/job-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { RaiseAlert } from '../usecases/alert.ts';
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

/** Who submits a job says so, and everybody hears of it with the next beat: looks besides are for what was lost on the way. */
const IDLE = { afterMs: 30_000, intervalMs: 600_000 };

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

  const work = createJobWork(runs);
  const worker: Worker = createWorker({
    jobs,
    reads,
    work: work.run,
    clock,
    replicaId: options.replicaId,
    heartbeat: createHeartbeat(),
    maxWorkers: config.maxWorkers,
    intervalMs: config.workerIntervalMs,
    idle: IDLE,
    report: tellJobs({ metrics, logger }),
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

  let submitted: number | undefined;
  /** Looks whether others have submitted jobs. */
  async function hear(signal: AbortSignal): Promise<void> {
    const before = submitted;
    submitted = await readJobSequence(client, signal);
    if (submitted !== before) worker.wake();
  }

  const announce = () => {
    worker.announce();
    options.onJob();
  };
  const counts = createIdempotencyCounts();
  return {
    worker,
    hear,
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
    progressOf: work.progressOf,
  };
}
