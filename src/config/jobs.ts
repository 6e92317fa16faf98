import type { z } from 'zod';
import { fraction, variable, whole } from './values.ts';

const MAX_WORKERS = 32;
/** An hour: what another replica was told of would else lie too long. */
const MAX_INTERVAL_SECONDS = 3_600;
const WEEK_SECONDS = 604_800;

/** The variables of the queue of jobs and of operators' keyed requests, in the order of `.env.example`. */
export const JOB_VARIABLES = {
  SANDBOX_MAX_WORKERS: variable(
    whole(1, MAX_WORKERS),
    '2',
    'jobs that run at the same time on each replica, each of another type',
  ),
  SANDBOX_WORKER_INTERVAL: variable(
    fraction(0.05, MAX_INTERVAL_SECONDS),
    '5',
    'how often a replica looks for jobs that were submitted elsewhere, seconds; its own begin at once',
  ),
  IDEMPOTENCY_TTL_SEC: variable(
    whole(1, WEEK_SECONDS),
    '3600',
    "how long the answer to an operator's request with an Idempotency-Key is repeated, from its end, seconds",
  ),
};

export interface JobsConfig {
  maxWorkers: number;
  workerIntervalMs: number;
  idempotencyTtlMs: number;
}

type Values = z.output<z.ZodObject<typeof JOB_VARIABLES>>;

export function readJobs(values: Values): JobsConfig {
  return {
    maxWorkers: values.SANDBOX_MAX_WORKERS,
    workerIntervalMs: Math.round(values.SANDBOX_WORKER_INTERVAL * 1000),
    idempotencyTtlMs: values.IDEMPOTENCY_TTL_SEC * 1000,
  };
}
