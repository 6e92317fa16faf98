import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { emptyBody, noQuery } from '../../api/requests.ts';
import { BREAKER_STATES, TRIP_REASONS } from '../../domain/resilience/breaker.ts';
import type { Breaker, BreakerReport } from '../../safety/index.ts';
import { BREAKERS, type BreakerName } from '../../telemetry/metric-labels.ts';
import { ADMIN_OPERATION } from './admin.ts';

const MAX_OVERRIDE_SECONDS = 86_400;
const FORCED = ['open', 'closed'] as const;
const durationAllowed = `is needed, and must be a whole number from 1 to ${MAX_OVERRIDE_SECONDS}`;

const breakerParams = z.object({
  name: z.enum(BREAKERS, { error: `must be one of ${BREAKERS.join(', ')}` }),
});

const overrideBody = z.preprocess(
  (body) => body ?? {},
  z.strictObject({
    state: z
      .enum(FORCED, { error: `is needed, and must be one of ${FORCED.join(', ')}` })
      .describe('open: no call is made. closed: every call is made, whatever fails.'),
    duration_seconds: z
      .number({ error: durationAllowed })
      .int(durationAllowed)
      .min(1, durationAllowed)
      .max(MAX_OVERRIDE_SECONDS, durationAllowed)
      .describe('How long; then the breaker is again what it was.'),
  }),
);

const epochSeconds = (description: string) => z.int().describe(`${description}, epoch seconds.`);

export const breakerSchema = z
  .object({
    name: z.enum(BREAKERS).describe('Whose calls it guards.'),
    state: z
      .enum(BREAKER_STATES)
      .describe('What decides about calls at the moment: none is made while open, one while half_open.'),
    since: epochSeconds('Since when the calls themselves have had it where it is'),
    failures: z.int().describe('Failed calls that count at the moment.'),
    threshold: z.int().describe('With so many it opens.'),
    why: z.enum(TRIP_REASONS).optional().describe('Why its calls are suspended.'),
    last_failure_at: epochSeconds('The last failed call that counted').optional(),
    retry_at: epochSeconds('When one call may probe').optional(),
    override: z
      .object({ state: z.enum(FORCED), until: epochSeconds('Its end') })
      .optional()
      .describe("An operator's word."),
    shared: z.boolean().describe('false: the store is out of reach, and this replica decides by itself.'),
  })
  .meta({ id: 'Breaker', description: 'A circuit breaker.' });

const breakersSchema = z
  .object({ breakers: z.array(breakerSchema) })
  .meta({ id: 'Breakers', description: 'All circuit breakers.' });

const seconds = (epochMs: number) => Math.floor(epochMs / 1000);

export function breakerRecord(name: BreakerName, report: BreakerReport): z.output<typeof breakerSchema> {
  const { why, lastFailureAtMs, retryAtMs, override } = report;
  return {
    name,
    state: report.state,
    since: seconds(report.sinceMs),
    failures: report.failures,
    threshold: report.threshold,
    ...(why !== undefined && { why }),
    ...(lastFailureAtMs !== undefined && { last_failure_at: seconds(lastFailureAtMs) }),
    // Not before that second.
    ...(retryAtMs !== undefined && { retry_at: Math.ceil(retryAtMs / 1000) }),
    ...(override && { override: { state: override.state, until: seconds(override.untilMs) } }),
    shared: report.shared,
  };
}

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
