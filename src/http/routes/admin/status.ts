import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { noQuery } from '../../../api/requests.ts';
import { type StatusSources, statusRecord, statusSchema } from '../../../api/status.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface StatusRoutesDeps {
  status: StatusSources;
  requireAdmin: onRequestHookHandler;
}

/** The one page that an operator opens first. */
export function statusRoutes({ status, requireAdmin }: StatusRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/status',
      config: { quotaExempt: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'getStatus',
        summary: 'Everything at a glance',
        querystring: noQuery,
        response: { 200: statusSchema },
      },
      handler: async () => statusRecord(status),
    });
  };
}
