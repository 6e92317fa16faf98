import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ACTIONS, type Action } from '../../domain/resilience/action.ts';
import { DRY_RUN_STATUSES, type DryRunLock } from '../../safety/index.ts';
import { ADMIN_OPERATION } from './admin.ts';

const ACTION_NAMES = Object.keys(ACTIONS) as Action[];

const logQuery = z.strictObject({
  action: z
    .enum(ACTION_NAMES, { error: `must be one of ${ACTION_NAMES.join(', ')}` })
    .optional()
    .describe('Only entries of this action.'),
});

const entrySchema = z
  .object({
    timestamp: z.int().describe('When it was asked for, epoch seconds.'),
    action: z.enum(ACTION_NAMES),
    status: z.enum(DRY_RUN_STATUSES),
    args: z.record(z.string(), z.unknown()).describe('What it was asked for with; secrets are masked.'),
  })
  .meta({ id: 'DryRunEntry', description: 'Something that cannot be undone, and what became of it.' });

const logSchema = z
  .object({
    dry_run: z.boolean().describe('Whether such actions are held back at the moment.'),
    strict: z.boolean().describe('Whether operators are refused with DRY_RUN_LOCKED.'),
    entries: z.array(entrySchema),
    count: z.int(),
  })
  .meta({ id: 'DryRunLog', description: 'The last 1,000 on this replica, the oldest first.' });

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
            timestamp: Math.floor(atMs / 1000),
            action,
            status,
            args: { ...args },
          }));
        return { dry_run: dryRun.enabled, strict: dryRun.strict, entries, count: entries.length };
      },
    });
  };
}
