import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { retriesQuery, retriesRecord, retriesSchema } from '../../../api/retries.ts';
import type { RetryStatistics } from '../../../safety/index.ts';
import { callContext } from '../../plugins/request-context.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface RetryRoutesDeps {
  retries: Pick<RetryStatistics, 'report'>;
  requireAdmin: onRequestHookHandler;
}

/** What operators call to see what is tried again, and how often. */
export function retryRoutes({ retries, requireAdmin }: RetryRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/retries',
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'listRetries',
        summary: 'Look at the retries',
        querystring: retriesQuery,
        response: { 200: retriesSchema },
      },
      handler: async (request) =>
        retriesRecord(await retries.report(request.query.task ?? '', callContext(request, 'admin').signal)),
    });
  };
}
