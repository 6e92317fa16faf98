import { z } from 'zod';
import { JOB_STATUSES, JOB_TYPES, type Job, type JobRequest } from '../domain/job.ts';
import { MAX_GRACE_HOURS, pageCursor, pageLimit } from './requests.ts';
import { epochSeconds, seconds } from './times.ts';

const oneOf = <const Values extends readonly string[]>(values: Values) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });

const grace = `a number from 0 to ${MAX_GRACE_HOURS}`;
const type = { error: `is needed, and must be one of ${JOB_TYPES.join(', ')}` };
const noOptions = z.strictObject({}).default({}).describe('There are none.');

const jobRequests = z.discriminatedUnion(
  'type',
  [
    z.strictObject({
      type: z.literal('sync'),
      options: z
        .strictObject({
          force: z
            .boolean({ error: 'must be true or false' })
            .default(false)
            .describe('Mark as many stale as are missing, however many that is.'),
        })
        .prefault({}),
    }),
    z.strictObject({ type: z.literal('cleanup'), options: noOptions }),
    z.strictObject({ type: z.literal('expire'), options: noOptions }),
    z.strictObject({
      type: z.literal('purge'),
      options: z
        .strictObject({
          grace_period_hours: z
            .number({ error: `must be ${grace}` })
            .min(0, `must be ${grace}`)
            .max(MAX_GRACE_HOURS, `must be ${grace}`)
            .default(24)
            .describe('How long a sandbox must have been stale, hours; fractions are allowed.'),
        })
        .prefault({}),
    }),
  ],
  type,
);

/** Fastify says `null` where there is no body. */
export const jobBody = z.preprocess((body) => body ?? {}, jobRequests);

/** The job that a body asks for. */
export function toJobRequest(body: z.output<typeof jobRequests>): JobRequest {
  if (body.type !== 'purge') return body;
  return { type: body.type, options: { gracePeriodHours: body.options.grace_period_hours } };
}

export const jobParams = z.object({
  id: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 -')
    .describe("The job's id, as its submission gave it."),
});

export const listJobsQuery = z.strictObject({
  status: oneOf(JOB_STATUSES).optional().describe('Only jobs in this status.'),
  type: oneOf(JOB_TYPES).optional().describe('Only jobs of this type.'),
  limit: pageLimit('Jobs on a page.'),
  cursor: pageCursor,
});

/** What `Prefer` may ask for (RFC 7240); everything else in it is ignored, as the RFC has it. */
export const preferHeader = z.object({
  prefer: z
    .string()
    .optional()
    .describe('`respond-async`: do not wait for the run; the answer is 202 and a job.'),
});

/** True when the caller would rather have a job than wait: `respond-async` is one of the listed preferences. */
export function prefersJob(prefer: string | string[] | undefined): boolean {
  return [prefer ?? []]
    .flat()
    .join()
    .split(',')
    .some((part) => /^\s*respond-async\s*(;|$)/i.test(part));
}

export const acceptedSchema = z
  .object({ job_id: z.string(), status: z.literal('pending') })
  .meta({ id: 'JobAccepted', description: 'A job is in the queue; Location says where to ask for it.' });

export const jobSchema = z
  .object({
    job_id: z.string(),
    type: z.enum(JOB_TYPES),
    status: z.enum(JOB_STATUSES),
    options: z.record(z.string(), z.unknown()),
    attempts: z.int().describe('Runs that were begun, this one included.'),
    submitted_at: epochSeconds('When it was put into the queue'),
    not_before: epochSeconds('It waits for a run that is under way; the next try').optional(),
    started_at: epochSeconds('Start of the last run').optional(),
    ended_at: epochSeconds('End of the last run').optional(),
    worker: z.string().optional().describe('The replica that runs it.'),
    result: z.record(z.string(), z.number()).optional().describe('What the run did, and `duration_ms`.'),
    dry_run: z.literal(true).optional().describe('Nothing that cannot be undone was done.'),
    error: z.object({ code: z.string(), message: z.string() }).optional().describe('Why it failed.'),
    submitted_by: z.string(),
    request_id: z.string().describe('Of the request that submitted it. The run logs the id of the job.'),
    correlation_id: z.string().describe('Of the request that submitted it, and of the run.'),
  })
  .meta({ id: 'Job', description: 'A job. What makes no sense in its status is not there.' });

export const jobListSchema = z
  .object({
    jobs: z.array(jobSchema),
    count: z.int().describe('Jobs on this page.'),
    cursor: z.string().optional().describe('For the next page; absent on the last one.'),
  })
  .meta({
    id: 'JobList',
    description: 'One page, the newest first. It may be short and still have a cursor.',
  });

const optionsOf = (request: JobRequest): Record<string, unknown> =>
  request.type === 'purge' ? { grace_period_hours: request.options.gracePeriodHours } : request.options;

/** A job as every endpoint shows it. Times become epoch seconds. */
export function jobRecord(job: Job): z.output<typeof jobSchema> {
  return {
    job_id: job.id,
    type: job.request.type,
    status: job.status,
    options: optionsOf(job.request),
    attempts: job.attempts,
    submitted_at: seconds(job.submittedAtMs),
    ...('notBeforeMs' in job && job.notBeforeMs !== undefined && { not_before: seconds(job.notBeforeMs) }),
    ...('startedAtMs' in job && { started_at: seconds(job.startedAtMs) }),
    ...('endedAtMs' in job && { ended_at: seconds(job.endedAtMs) }),
    ...('worker' in job && { worker: job.worker }),
    ...('result' in job && { result: { ...job.result.counts, duration_ms: job.result.durationMs } }),
    ...('result' in job && 'dry_run_blocked' in job.result.counts && { dry_run: true }),
    ...('error' in job && { error: job.error }),
    submitted_by: job.submitter.actor,
    request_id: job.submitter.requestId,
    correlation_id: job.submitter.correlationId,
  };
}
