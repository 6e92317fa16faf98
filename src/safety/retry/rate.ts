/** The share of the jobs that took more than one attempt, over the last while. */
export interface RetryRate {
  /** A job is over. True when that makes the rate an anomaly that it was not before. */
  ended(retried: boolean, nowMs: number): boolean;
  report(nowMs: number): RateReport;
}

export interface RateReport {
  jobs: number;
  retried: number;
  /** 0 to 1; 0 without jobs. */
  rate: number;
  isAnomalous: boolean;
}

/** More is an anomaly; as much is not. */
const MAX_RATE = 0.5;
/** Of fewer jobs, or as many, a rate says nothing. */
const FEW_JOBS = 10;
/** Past that the oldest are forgotten early: a rate of so many is as good. */
const MAX_JOBS = 1_000;

/** The retry rate of the jobs of the last `windowMs`. */
export function createRetryRate({ windowMs }: { windowMs: number }): RetryRate {
  if (!(windowMs > 0)) throw new RangeError(`windowMs must be > 0, not ${windowMs}`);
  let jobs: { atMs: number; retried: boolean }[] = [];
  let wasAnomalous = false;

  function report(nowMs: number): RateReport {
    jobs = jobs.filter(({ atMs }) => atMs > nowMs - windowMs).slice(-MAX_JOBS);
    const retried = jobs.filter((job) => job.retried).length;
    const rate = jobs.length === 0 ? 0 : retried / jobs.length;
    return { jobs: jobs.length, retried, rate, isAnomalous: jobs.length > FEW_JOBS && rate > MAX_RATE };
  }

  return {
    ended(retried, nowMs) {
      jobs.push({ atMs: nowMs, retried });
      const { isAnomalous } = report(nowMs);
      const isEdge = isAnomalous && !wasAnomalous;
      wasAnomalous = isAnomalous;
      return isEdge;
    },
    report,
  };
}
