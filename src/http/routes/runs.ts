import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { PurgeOptions, RunNow, SyncOptions } from '../../loops/run.ts';
import { callContext } from '../plugins/request-context.ts';
import { emptyBody, noQuery, purgeQuery, syncQuery } from '../request-schemas.ts';
import { runRecord, runSchema } from '../schemas.ts';
import { ADMIN_OPERATION } from './admin.ts';

/** The loops' work, to be run at once. */
export interface Runs {
  sync: RunNow<SyncOptions>;
  cleanup: RunNow<Record<never, never>>;
  expire: RunNow<Record<never, never>>;
  purge: RunNow<PurgeOptions>;
}

function completed({ counts, durationMs }: Awaited<ReturnType<RunNow<unknown>>>) {
  return runRecord(counts, durationMs);
}

/** What operators call to run a loop's work now. The answer comes when the run is over, and tells what it did. */
export function runRoutes(runs: Runs, requireAdmin: onRequestHookHandler): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'POST',
      url: '/v1/admin/sync',
      config: { errors: ['ALREADY_RUNNING', 'PROVIDER_UNAVAILABLE', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'sync',
        summary: "Take over the provider's inventory",
        querystring: syncQuery,
        body: emptyBody,
        response: { 200: runSchema },
      },
      handler: async (request) => completed(await runs.sync(request.query, callContext(request, 'admin'))),
    });

    const plain = [
      ['cleanup', 'Delete what was given back', runs.cleanup],
      ['expire', 'End the leases whose time is over', runs.expire],
    ] as const;
    for (const [name, summary, run] of plain) {
      app.route({
        method: 'POST',
        url: `/v1/admin/${name}`,
        config: { errors: ['ALREADY_RUNNING', 'PROVIDER_UNAVAILABLE', 'STORE_UNAVAILABLE'] },
        schema: {
          ...ADMIN_OPERATION,
          operationId: name,
          summary,
          querystring: noQuery,
          body: emptyBody,
          response: { 200: runSchema },
        },
        handler: async (request) => completed(await run({}, callContext(request, 'admin'))),
      });
    }

    app.route({
      method: 'POST',
      url: '/v1/admin/auto-delete-stale',
      config: { errors: ['ALREADY_RUNNING', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'autoDeleteStale',
        summary: 'Remove the records of sandboxes that have long been stale',
        querystring: purgeQuery,
        body: emptyBody,
        response: { 200: runSchema },
      },
      handler: async (request) => {
        const options = { gracePeriodHours: request.query.grace_period_hours };
        return completed(await runs.purge(options, callContext(request, 'admin')));
      },
    });
  };
}
