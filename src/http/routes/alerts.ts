import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { RunbookOf } from '../../api/runbooks.ts';
import { ALERT_SEVERITIES, type RaisedAlert } from '../../domain/resilience/alert.ts';
import type { ListAlerts } from '../../usecases/list-alerts.ts';
import { callContext } from '../plugins/request-context.ts';
import { ADMIN_OPERATION } from './admin.ts';

const MAX_LIMIT = 1_000;
const DEFAULT_LIMIT = 100;
const MAX_TASK = 128;

const severity = z.enum(ALERT_SEVERITIES, { error: `must be one of ${ALERT_SEVERITIES.join(', ')}` });
const limitError = `must be a whole number from 0 to ${MAX_LIMIT}`;

const alertsQuery = z.strictObject({
  severity: severity.optional().describe('Only alerts of this severity.'),
  min_severity: severity.optional().describe('Only alerts of this severity and above.'),
  task: z
    .string()
    .min(1, `must be 1 to ${MAX_TASK} characters`)
    .max(MAX_TASK, `must be 1 to ${MAX_TASK} characters`)
    .optional()
    .describe('Only alerts of this task, such as sync or pool.'),
  limit: z
    .preprocess(
      (value) => (typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value),
      z.number({ error: limitError }).int(limitError).min(0, limitError).max(MAX_LIMIT, limitError),
    )
    .default(DEFAULT_LIMIT)
    .meta({ description: 'Alerts at most; 0: none.', default: DEFAULT_LIMIT }),
});

export const alertSchema = z
  .object({
    id: z.string(),
    timestamp: z.int().describe('When it was raised, epoch seconds.'),
    task: z.string().describe('What noticed it.'),
    reason: z.string().describe('What it is; a stable word.'),
    severity: z.enum(ALERT_SEVERITIES),
    context: z
      .record(z.string(), z.unknown())
      .describe('More about it; correlation_id and request_id of the request or run that noticed it.'),
    replica: z.string().describe('The replica that raised it.'),
    runbook: z
      .string()
      .describe('Where it says what to do: an address, or a path of this broker that needs no token.'),
  })
  .meta({ id: 'Alert', description: 'Something an operator should know.' });

const alertsSchema = z
  .object({
    alerts: z.array(alertSchema),
    count: z.int().describe('Alerts in this answer.'),
    complete: z.boolean().describe('false: there may be more that are meant; the search was ended early.'),
    source: z
      .enum(['all_replicas', 'this_replica'])
      .describe('this_replica: the store does not answer, and these are what this replica raised itself.'),
  })
  .meta({ id: 'Alerts', description: 'The alerts of the last seven days, the newest first.' });

export const alertRecord = (
  { atMs, ...alert }: RaisedAlert,
  runbookOf: RunbookOf,
): z.output<typeof alertSchema> => ({
  ...alert,
  timestamp: Math.floor(atMs / 1000),
  runbook: runbookOf(alert.reason),
});

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
