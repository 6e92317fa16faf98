import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { logQuery, logSchema } from '../../../api/dry-run.ts';
import { seconds } from '../../../api/times.ts';
import type { Action } from '../../../domain/resilience/action.ts';
import type { DryRunLock } from '../../../safety/index.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface DryRunRoutesDeps {
  dryRun: Pick<DryRunLock<Action>, 'enabled' | 'strict' | 'log'>;
  requireAdmin: onRequestHookHandler;
}

/** What operators call to see what was done that cannot be undone, or would have been without the dry run. */
export function dryRunRoutes({ dryRun, requireAdmin }: DryRunRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/dry-run/log',
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'dryRunLog',
        summary: 'Look at what cannot be undone',
        querystring: logQuery,
        response: { 200: logSchema },
      },
      handler: async (request) => {
        const entries = dryRun
          .log({ action: request.query.action })
          .map(({ atMs, action, status, args }) => ({
            timestamp: seconds(atMs),
            action,
            status,
            args: { ...args },
          }));
        return { dry_run: dryRun.enabled, strict: dryRun.strict, entries, count: entries.length };
      },
    });
  };
}
