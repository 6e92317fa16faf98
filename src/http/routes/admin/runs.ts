import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { acceptedSchema, preferHeader, prefersJob } from '../../../api/jobs.ts';
import { emptyBody, noQuery, purgeQuery, syncQuery } from '../../../api/requests.ts';
import { runRecord, runSchema } from '../../../api/sandboxes.ts';
import type { JobRequest } from '../../../domain/job.ts';
import type { RunNow, Runs } from '../../../loops/run.ts';
import type { SubmitJob } from '../../../usecases/submit-job.ts';
import { callContext } from '../../plugins/request-context.ts';
import { acceptJob } from './jobs.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface RunRoutesDeps {
  runs: Runs;
  submitJob: SubmitJob;
  requireAdmin: onRequestHookHandler;
}

const ANSWERS = { 200: runSchema, 202: acceptedSchema.describe('With `Prefer: respond-async`: a job.') };
/** Of a run that asks the provider. */
const ERRORS = [
  'ALREADY_RUNNING',
  'PROVIDER_UNAVAILABLE',
  'BUSY',
  'STORE_UNAVAILABLE',
  'CLOCK_OFF',
  'SHUTTING_DOWN',
] as const;
const ASYNC_HEADERS = { 202: ['Location', 'Preference-Applied'] };

/**
 * What operators call to run a loop's work now. The answer comes when the run is over, and tells what it did; to those
 * who prefer not to wait it comes at once, and tells of a job.
 */
export function runRoutes({ runs, submitJob, requireAdmin }: RunRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    async function runOrSubmit<Job extends JobRequest>(
      request: FastifyRequest,
      reply: Pick<FastifyReply, 'code' | 'header'>,
      job: Job,
      run: RunNow<Job['options']>,
    ) {
      if (!prefersJob(request.headers.prefer)) {
        return runRecord(await run(job.options, callContext(request, 'admin')));
      }
      const accepted = await acceptJob(submitJob, job, request, reply);
      reply.header('preference-applied', 'respond-async');
      return accepted;
    }

    app.route({
      method: 'POST',
      url: '/v1/admin/sync',
      config: {
        errors: [...ERRORS],
        answerHeaders: ASYNC_HEADERS,
      },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'sync',
        summary: "Take over the provider's inventory",
        headers: preferHeader,
        querystring: syncQuery,
        body: emptyBody,
        response: ANSWERS,
      },
      handler: (request, reply) =>
        runOrSubmit(request, reply, { type: 'sync', options: request.query }, runs.sync),
    });

    const plain = [
      ['cleanup', 'Delete what was given back', runs.cleanup, { irreversible: 'csp_delete' }],
      ['expire', 'End the leases whose time is over', runs.expire, {}],
    ] as const;
    for (const [name, summary, run, config] of plain) {
      app.route({
        method: 'POST',
        url: `/v1/admin/${name}`,
        config: {
          ...config,
          errors: [...ERRORS],
          answerHeaders: ASYNC_HEADERS,
        },
        schema: {
          ...ADMIN_OPERATION,
          operationId: name,
          summary,
          headers: preferHeader,
          querystring: noQuery,
          body: emptyBody,
          response: ANSWERS,
        },
        handler: (request, reply) => runOrSubmit(request, reply, { type: name, options: {} }, run),
      });
    }

    app.route({
      method: 'POST',
      url: '/v1/admin/auto-delete-stale',
      config: {
        errors: ['ALREADY_RUNNING', 'BUSY', 'STORE_UNAVAILABLE', 'CLOCK_OFF', 'SHUTTING_DOWN'],
        answerHeaders: ASYNC_HEADERS,
        irreversible: 'stale_purge',
      },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'autoDeleteStale',
        summary: 'Remove the records of sandboxes that have long been stale',
        headers: preferHeader,
        querystring: purgeQuery,
        body: emptyBody,
        response: ANSWERS,
      },
      handler: (request, reply) => {
        const options = { gracePeriodHours: request.query.grace_period_hours };
        return runOrSubmit(request, reply, { type: 'purge', options }, runs.purge);
      },
    });
  };
}
