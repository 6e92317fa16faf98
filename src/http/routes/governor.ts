import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { noQuery } from '../../api/requests.ts';
import { RESOURCES, type Resource } from '../../domain/resilience/action.ts';
import { type Governor, type GovernorRow, MAX_WINDOW_SECONDS } from '../../safety/index.ts';
import { ADMIN_OPERATION } from './admin.ts';

const MAX_ACTIONS = 1_000_000_000;
const actionsAllowed = `null or a whole number from 0 to ${MAX_ACTIONS}`;
const windowAllowed = `a whole number from 1 to ${MAX_WINDOW_SECONDS}`;

const resourceParams = z.object({
  resource: z.enum(RESOURCES, { error: `must be one of ${RESOURCES.join(', ')}` }),
});

const whole = (max: number, min: number, error: string) =>
  z.number({ error }).int(error).min(min, error).max(max, error);

const limitBody = z.preprocess(
  (body) => body ?? {},
  z.strictObject({
    max_actions: whole(MAX_ACTIONS, 0, `is needed, and must be ${actionsAllowed}`)
      .nullable()
      .describe('Uses in any window; null: no limit.'),
    window_seconds: whole(MAX_WINDOW_SECONDS, 1, `must be ${windowAllowed}`)
      .optional()
      .describe('Length of the window; without it the window stays as it is.'),
  }),
);

export const quotaSchema = z
  .object({
    resource: z.enum(RESOURCES),
    scope: z
      .enum(['local', 'global'])
      .describe('global: counted over all replicas; local: each counts for itself.'),
    current_actions: z
      .int()
      .describe('Uses in the window, a few seconds old where global. Of api_call: of the busiest caller.'),
    max_actions: z.int().nullable().describe('null: no limit.'),
    window_seconds: z.int(),
    denied_count: z.int().describe('Refusals by this replica since its start.'),
    overridden: z.boolean().describe('Set at run time, instead of what this replica was configured with.'),
  })
  .meta({ id: 'Quota', description: 'How often something may be done, and how often it was.' });

const quotasSchema = z
  .object({ resources: z.array(quotaSchema) })
  .meta({ id: 'Quotas', description: 'All quotas.' });

export const quotaRecord = (row: GovernorRow<Resource>): z.output<typeof quotaSchema> => ({
  resource: row.resource,
  scope: row.scope,
  current_actions: row.currentActions,
  max_actions: row.maxActions,
  window_seconds: row.windowSeconds,
  denied_count: row.deniedCount,
  overridden: row.overridden,
});

export interface GovernorRoutesDeps {
  governor: Pick<Governor<Resource>, 'status' | 'setLimit' | 'resetLimit'>;
  requireAdmin: onRequestHookHandler;
}

/** What operators call to see the quotas and to change them. These calls use up no quota themselves. */
export function governorRoutes({ governor, requireAdmin }: GovernorRoutesDeps): FastifyPluginAsyncZod {
  const quotaOf = (resource: Resource) => {
    const row = governor.status().find((each) => each.resource === resource);
    if (row === undefined) throw new RangeError(`the governor does not report ${resource}`);
    return quotaRecord(row);
  };
  /** Who changed a limit, and to what, is to be found in the log. */
  const changed = (request: FastifyRequest, resource: Resource) => {
    const quota = quotaOf(resource);
    request.log.warn({ action: 'quota_changed', by: request.caller?.name, ...quota }, 'a quota was changed');
    return quota;
  };

  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/governor',
      config: { quotaExempt: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'listQuotas',
        summary: 'Look at the quotas',
        querystring: noQuery,
        response: { 200: quotasSchema },
      },
      handler: async () => ({ resources: governor.status().map(quotaRecord) }),
    });

    app.route({
      method: 'PUT',
      url: '/v1/admin/governor/:resource',
      config: {
        errors: ['STORE_UNAVAILABLE', 'CLOCK_OFF'],
        quotaExempt: true,
        bodyRequired: true,
      },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'setQuota',
        summary: 'Change a quota',
        description:
          'On every replica within seconds, for as long as nobody changes it again: it outlives restarts. What was ' +
          'used stays counted.',
        params: resourceParams,
        querystring: noQuery,
        body: limitBody,
        response: { 200: quotaSchema },
      },
      handler: async (request) => {
        const { resource } = request.params;
        await governor.setLimit(resource, request.body.max_actions, request.body.window_seconds);
        return changed(request, resource);
      },
    });

    app.route({
      method: 'DELETE',
      url: '/v1/admin/governor/:resource',
      config: { errors: ['STORE_UNAVAILABLE', 'CLOCK_OFF'], quotaExempt: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'resetQuota',
        summary: 'Take a change of a quota back',
        description: 'Every replica goes back to what it was configured with.',
        params: resourceParams,
        querystring: noQuery,
        response: { 200: quotaSchema },
      },
      handler: async (request) => {
        await governor.resetLimit(request.params.resource);
        return changed(request, request.params.resource);
      },
    });
  };
}
