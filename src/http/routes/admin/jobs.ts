import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import {
  acceptedSchema,
  jobBody,
  jobListSchema,
  jobParams,
  jobRecord,
  jobSchema,
  listJobsQuery,
  toJobRequest,
} from '../../../api/jobs.ts';
import { noQuery } from '../../../api/requests.ts';
import { assertNever } from '../../../domain/errors.ts';
import type { JobRequest } from '../../../domain/job.ts';
import type { Action } from '../../../domain/resilience/action.ts';
import type { GetJob } from '../../../usecases/get-job.ts';
import type { ListJobs } from '../../../usecases/list-jobs.ts';
import type { SubmitJob } from '../../../usecases/submit-job.ts';
import { callContext } from '../../plugins/request-context.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface JobRoutesDeps {
  useCases: { submitJob: SubmitJob; getJob: GetJob; listJobs: ListJobs };
  requireAdmin: onRequestHookHandler;
}

/** What a job that is asked for comes down to, if that cannot be undone. */
function irreversibleJob(body: unknown): Action | undefined {
  const { type } = jobBody.parse(body);
  switch (type) {
    case 'cleanup':
      return 'csp_delete';
    case 'purge':
      return 'stale_purge';
    case 'sync':
    case 'expire':
      return undefined;
    default:
      return assertNever(type);
  }
}

/** Puts a job into the queue and makes the answer: 202, with the place to ask for it. */
export async function acceptJob(
  submitJob: SubmitJob,
  job: JobRequest,
  request: FastifyRequest,
  reply: Pick<FastifyReply, 'code' | 'header'>,
): Promise<{ job_id: string; status: 'pending' }> {
  const { id, status } = await submitJob(job, callContext(request, 'admin'));
  reply.code(202);
  reply.header('location', `/v1/admin/jobs/${id}`);
  return { job_id: id, status };
}

/** The queue of jobs: runs that nobody waits for. They survive a restart, and any replica may carry them out. */
export function jobRoutes({ useCases, requireAdmin }: JobRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'POST',
      url: '/v1/admin/jobs',
      config: {
        errors: ['BUSY', 'STORE_UNAVAILABLE', 'CLOCK_OFF'],
        answerHeaders: { 202: ['Location'] },
        bodyRequired: true,
        irreversible: irreversibleJob,
      },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'submitJob',
        summary: 'Put a run into the queue',
        description:
          'Begins at once where a worker is free, in the order of submission. A run of the same kind that is under ' +
          'way is waited for.',
        querystring: noQuery,
        body: jobBody,
        response: { 202: acceptedSchema },
      },
      handler: (request, reply) => acceptJob(useCases.submitJob, toJobRequest(request.body), request, reply),
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/jobs',
      config: { errors: ['INVALID_CURSOR', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'listJobs',
        summary: 'List the jobs of the last week, the newest first',
        querystring: listJobsQuery,
        response: { 200: jobListSchema },
      },
      handler: async (request) => {
        const { jobs, cursor } = await useCases.listJobs(request.query, callContext(request, 'admin'));
        return { jobs: jobs.map(jobRecord), count: jobs.length, cursor };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/jobs/:id',
      config: { errors: ['JOB_NOT_FOUND', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'getJob',
        summary: 'Look at a job',
        params: jobParams,
        querystring: noQuery,
        response: { 200: jobSchema },
      },
      handler: async (request) =>
        jobRecord(await useCases.getJob(request.params.id, callContext(request, 'admin'))),
    });
  };
}
