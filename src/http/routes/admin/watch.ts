import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { noQuery } from '../../../api/requests.ts';
import {
  heartbeatRecords,
  heartbeatsSchema,
  metricsGuardRecord,
  metricsGuardSchema,
  readinessRecord,
  readinessSchema,
  runtimeRecord,
  runtimeSchema,
} from '../../../api/watch.ts';
import type { RuntimeWatch } from '../../../live/runtime-watch.ts';
import type { HeartbeatReport, MetricsGuardReport, Readiness } from '../../../safety/index.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface WatchRoutesDeps {
  readiness: Readiness;
  runtime: RuntimeWatch;
  heartbeats: () => Readonly<Record<string, HeartbeatReport>>;
  cardinality: () => MetricsGuardReport;
  requireAdmin: onRequestHookHandler;
}

/** What operators look at to see whether the broker is well, and why not. */
export function watchRoutes(deps: WatchRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', deps.requireAdmin);

    const page = { ...ADMIN_OPERATION, querystring: noQuery };

    app.route({
      method: 'GET',
      url: '/v1/admin/readiness',
      schema: {
        ...page,
        operationId: 'getReadiness',
        summary: 'GO, serving with a but, or NO-GO',
        response: { 200: readinessSchema },
      },
      handler: async () => readinessRecord(await deps.readiness.runAll()),
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/runtime',
      schema: {
        ...page,
        operationId: 'checkRuntime',
        summary: 'Check the store',
        response: { 200: runtimeSchema },
      },
      handler: async () => runtimeRecord(await deps.runtime.look()),
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/heartbeats',
      schema: {
        ...page,
        operationId: 'listHeartbeats',
        summary: 'Look at the signs of life',
        response: { 200: heartbeatsSchema },
      },
      handler: async () => heartbeatRecords(deps.heartbeats()),
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/metrics-guard',
      schema: {
        ...page,
        operationId: 'getMetricsGuard',
        summary: 'Look at the labels of the metrics',
        response: { 200: metricsGuardSchema },
      },
      handler: async () => metricsGuardRecord(deps.cardinality()),
    });
  };
}
