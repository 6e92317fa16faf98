import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import {
  breakerParams,
  breakerRecord,
  breakerSchema,
  breakersSchema,
  overrideBody,
} from '../../../api/breakers.ts';
import { emptyBody, noQuery } from '../../../api/requests.ts';
import type { Breaker } from '../../../safety/index.ts';
import { BREAKERS, type BreakerName } from '../../../telemetry/metric-labels.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface BreakerRoutesDeps {
  breakers: Readonly<Record<BreakerName, Pick<Breaker, 'refresh' | 'report' | 'override' | 'reset'>>>;
  requireAdmin: onRequestHookHandler;
}

/** What operators call to see the circuit breakers, to hold one open or closed for a while, and to begin anew. */
export function breakerRoutes({ breakers, requireAdmin }: BreakerRoutesDeps): FastifyPluginAsyncZod {
  /** Who put a hand on a breaker is to be found in the log. */
  const changed = (request: FastifyRequest, name: BreakerName) => {
    const record = breakerRecord(name, breakers[name].report());
    const { name: breaker, ...fields } = record;
    request.log.warn(
      { action: 'breaker_changed', by: request.caller?.name, breaker, ...fields },
      'a breaker was changed',
    );
    return record;
  };

  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/breakers',
      config: { quotaExempt: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'listBreakers',
        summary: 'Look at the circuit breakers',
        querystring: noQuery,
        response: { 200: breakersSchema },
      },
      handler: async () => {
        await Promise.all(BREAKERS.map((name) => breakers[name].refresh()));
        return { breakers: BREAKERS.map((name) => breakerRecord(name, breakers[name].report())) };
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/admin/breakers/:name/override',
      config: { quotaExempt: true, bodyRequired: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'overrideBreaker',
        summary: 'Hold a circuit breaker open or closed for a while',
        description:
          'On every replica within seconds. What the calls do meanwhile changes nothing; afterwards the breaker is what ' +
          'it was before.',
        params: breakerParams,
        querystring: noQuery,
        body: overrideBody,
        response: { 200: breakerSchema },
      },
      handler: async (request) => {
        const { name } = request.params;
        await breakers[name].override(request.body.state, request.body.duration_seconds * 1000);
        return changed(request, name);
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/admin/breakers/:name/reset',
      config: { quotaExempt: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'resetBreaker',
        summary: 'Close a circuit breaker',
        description: 'Forgets its failures and what an operator said.',
        params: breakerParams,
        querystring: noQuery,
        body: emptyBody,
        response: { 200: breakerSchema },
      },
      handler: async (request) => {
        await breakers[request.params.name].reset();
        return changed(request, request.params.name);
      },
    });
  };
}
