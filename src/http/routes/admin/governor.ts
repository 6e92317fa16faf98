import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { limitBody, quotaRecord, quotaSchema, quotasSchema, resourceParams } from '../../../api/quotas.ts';
import { noQuery } from '../../../api/requests.ts';
import type { Resource } from '../../../domain/resilience/action.ts';
import type { Governor } from '../../../safety/index.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface GovernorRoutesDeps {
  governor: Pick<Governor<Resource>, 'status' | 'refresh' | 'setLimit' | 'resetLimit'>;
  requireAdmin: onRequestHookHandler;
}

/** What operators call to see the quotas and to change them. These calls use up no quota themselves. */
const REFRESH_WITHIN_MS = 1_000;

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
      async handler() {
        // What the others have used; while the store is away, as far as is known here.
        await governor.refresh(AbortSignal.timeout(REFRESH_WITHIN_MS)).catch(() => undefined);
        return { resources: governor.status().map(quotaRecord) };
      },
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
