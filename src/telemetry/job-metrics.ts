import { JOB_OUTCOMES, JOB_TYPES, type JobOutcome, type JobType } from '../domain/job.ts';
import { KEYED_OUTCOMES, type KeyedOutcome } from '../domain/resilience/kept-answer.ts';
import type { createInstruments } from './instruments.ts';

/** What is counted of the queue of jobs, and of operators' requests with a key. */
export interface JobMetrics {
  jobRun(type: JobType, outcome: JobOutcome): void;
  /** A job's first run began, so many seconds after its submission. */
  jobStarted(type: JobType, delaySeconds: number): void;
  setJobQueueLength(pending: number): void;
  keyedRequest(outcome: KeyedOutcome): void;
}

const DELAY_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 1800];

export function createJobMetrics({
  counter,
  gauge,
  histogram,
}: ReturnType<typeof createInstruments>): JobMetrics {
  const runs = counter('broker_jobs_total', 'Runs of jobs that ended', {
    type: JOB_TYPES,
    outcome: JOB_OUTCOMES,
  });
  const delays = histogram(
    'broker_job_start_delay_seconds',
    "Time from a job's submission to its first run",
    DELAY_BUCKETS,
    { type: JOB_TYPES },
  );
  const queueLength = gauge('broker_job_queue_length', 'Jobs that wait, over all replicas');
  const keyed = counter('broker_admin_idempotency_total', "Operators' requests with an Idempotency-Key", {
    outcome: KEYED_OUTCOMES,
  });
  return {
    jobRun: (type, outcome) => runs.inc({ type, outcome }),
    jobStarted: (type, delaySeconds) => delays.observe({ type }, delaySeconds),
    setJobQueueLength: (pending) => queueLength.set({}, pending),
    keyedRequest: (outcome) => keyed.inc({ outcome }),
  };
}
