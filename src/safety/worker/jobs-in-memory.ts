import type { Clock, NewId } from '../../clock.ts';
import {
  type AnyJobRequest,
  claimableAtMs,
  claimJob,
  type Job,
  type JobReads,
  type JobStore,
  type PendingJob,
} from '../../domain/job.ts';

/** How long an ended job is remembered, and how many jobs at the most, those that have not ended aside. */
const HISTORY_MS = 7 * 86_400_000;
const MAX_KEPT = 10_000;
const NUMBER_DIGITS = 10;

/** A queue of one process, in the order of submission. */
export function createJobsInMemory<Request extends AnyJobRequest, Result>({
  clock,
  newId,
}: {
  clock: Clock;
  newId: NewId;
}): { jobs: JobStore<Request, Result>; reads: JobReads<Request, Result> } {
  /** In the order of submission, which is also that of their ids. */
  const all = new Map<string, Job<Request, Result>>();
  const totals = { completed: 0, failed: 0 };
  let submitted = 0;

  const isForgotten = (job: Job<Request, Result>): boolean =>
    'endedAtMs' in job && job.endedAtMs + HISTORY_MS <= clock.nowMs();

  /** The oldest go first, as far as they are over. */
  function forget(): void {
    for (const [id, job] of all) {
      if (!isForgotten(job) && !('endedAtMs' in job && all.size > MAX_KEPT)) return;
      all.delete(id);
    }
  }

  /** The job under this claim, if that still holds. */
  const held = (id: string, claimId: string) => {
    const job = all.get(id);
    return job?.status === 'running' && job.claimId === claimId ? job : undefined;
  };

  return {
    jobs: {
      async submit(request, submitter) {
        forget();
        const nowMs = clock.nowMs();
        const number = (++submitted).toString().padStart(NUMBER_DIGITS, '0');
        const job: PendingJob<Request> = {
          id: `job-${number}`,
          status: 'pending',
          request,
          submitter,
          submittedAtMs: nowMs,
          attempts: 0,
          waits: 0,
          generation: 1,
        };
        all.set(job.id, job);
        return job;
      },
      async claim(seen, { worker, leaseMs }) {
        const nowMs = clock.nowMs();
        const job = all.get(seen.id);
        if (job === undefined || job.generation !== seen.generation || 'endedAtMs' in job) return undefined;
        if (claimableAtMs(job) > nowMs) return undefined;
        const claimed = claimJob(job, { claimId: newId(), worker, leaseMs }, nowMs);
        all.set(job.id, claimed);
        return claimed;
      },
      async renew({ id, claimId }, leaseMs) {
        const job = held(id, claimId);
        if (job) all.set(id, { ...job, leaseUntilMs: clock.nowMs() + leaseMs });
        return job !== undefined;
      },
      async settle({ id, claimId }, next) {
        if (held(id, claimId) === undefined) return false;
        all.set(id, next);
        if (next.status !== 'pending') totals[next.status]++;
        return true;
      },
    },
    reads: {
      async get(id) {
        const job = all.get(id);
        return job && !isForgotten(job) ? job : undefined;
      },
      async list({ status, type, limit, after }) {
        const found = [...all.values()]
          .filter((job) => !isForgotten(job) && (after === undefined || job.id < after))
          .filter((job) => status === undefined || job.status === status)
          .filter((job) => type === undefined || job.request.type === type)
          .reverse();
        const jobs = found.slice(0, limit);
        return { jobs, ...(found.length > limit && { after: jobs.at(-1)?.id }) };
      },
      async *open() {
        for (const status of ['running', 'pending'] as const) {
          for (const job of [...all.values()]) {
            if (job.status === status) yield job;
          }
        }
      },
      async totals() {
        const pending = [...all.values()].filter(({ status }) => status === 'pending').length;
        return { pending, ...totals };
      },
    },
  };
}
