import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { alertRecord, alertsQuery, alertsSchema } from '../../../api/alerts.ts';
import type { RunbookOf } from '../../../api/runbooks.ts';
import type { ListAlerts } from '../../../usecases/list-alerts.ts';
import { callContext } from '../../plugins/request-context.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface AlertRoutesDeps {
  useCases: { listAlerts: ListAlerts };
  runbookOf: RunbookOf;
  requireAdmin: onRequestHookHandler;
}

/** What operators look at when something is wrong; it answers without the store, too. */
export function alertRoutes({ useCases, runbookOf, requireAdmin }: AlertRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/alerts',
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'listAlerts',
        summary: 'Look at the alerts',
        description: 'What all replicas have raised in the last seven days, the newest first.',
        querystring: alertsQuery,
        response: { 200: alertsSchema },
      },
      handler: async (request) => {
        const { min_severity: minSeverity, ...query } = request.query;
        const list = await useCases.listAlerts({ ...query, minSeverity }, callContext(request, 'admin'));
        return {
          alerts: list.alerts.map((alert) => alertRecord(alert, runbookOf)),
          count: list.alerts.length,
          complete: list.complete,
          source: list.stored ? ('all_replicas' as const) : ('this_replica' as const),
        };
      },
    });
  };
}
