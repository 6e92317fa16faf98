import type { JobOutcome } from '../domain/job.ts';
import type { JobReport } from '../safety/index.ts';
import type { JobMetrics } from '../telemetry/job-metrics.ts';
import type { Logger } from '../telemetry/logger.ts';

/** Most ends are everyday things, and a wait may be told of many times; what broke off is worth a look. */
const LEVELS: Readonly<Record<JobOutcome, 'debug' | 'info' | 'warn' | 'error'>> = {
  completed: 'info',
  failed: 'warn',
  postponed: 'debug',
  interrupted: 'info',
  lost: 'warn',
  abandoned: 'error',
};

/** Tells the metrics and the log of every job that has ended. */
export function tellJobs(deps: {
  metrics: Pick<JobMetrics, 'jobRun'>;
  logger: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
}): (report: JobReport) => void {
  return ({ job, outcome, durationMs, error }) => {
    deps.metrics.jobRun(job.request.type, outcome);
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
    deps.logger[LEVELS[outcome]](fields, `job: ${outcome}`);
  };
}
