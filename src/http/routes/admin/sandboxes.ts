import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import {
  emptyBody,
  extendForHolderBody,
  listQuery,
  noQuery,
  operateQuery,
  quarantineBody,
  sandboxParams,
} from '../../../api/requests.ts';
import {
  eventRecord,
  historySchema,
  listSchema,
  recordSchema,
  sandboxRecord,
  statsSchema,
} from '../../../api/sandboxes.ts';
import { seconds } from '../../../api/times.ts';
import { BrokerError, type ErrorCode } from '../../../domain/errors.ts';
import type { InspectSandbox } from '../../../usecases/inspect-sandbox.ts';
import type { LatestPoolStats } from '../../../usecases/inventory/pool-stats.ts';
import type { ExtendForHolder } from '../../../usecases/leases/keep-lease.ts';
import type { OperateSandbox } from '../../../usecases/leases/operate-sandbox.ts';
import type { QuarantineSandbox } from '../../../usecases/leases/quarantine-sandbox.ts';
import type { ListSandboxes } from '../../../usecases/list-sandboxes.ts';
import { callContext } from '../../plugins/request-context.ts';

export interface AdminRoutesDeps {
  useCases: {
    listSandboxes: ListSandboxes;
    inspectSandbox: InspectSandbox;
    poolStats: LatestPoolStats;
    releaseSandbox: OperateSandbox;
    retryDeletion: OperateSandbox;
    quarantineSandbox: QuarantineSandbox;
    extendForHolder: ExtendForHolder;
    restoreSandbox: OperateSandbox;
  };
  requireAdmin: onRequestHookHandler;
}

/** What every operation of an administrator has in common in the API's description. */
export const ADMIN_OPERATION = { tags: ['admin'], security: [{ adminToken: [] }] };

const HAND_REFUSALS: readonly ErrorCode[] = [
  'SANDBOX_NOT_FOUND',
  'LEASE_OVER',
  'INVALID_STATE',
  'BUSY',
  'STORE_UNAVAILABLE',
  'CLOCK_OFF',
];

/** What operators call: look at the pool, and lend a hand to single sandboxes or records. */
export function adminRoutes({ useCases, requireAdmin }: AdminRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/sandboxes',
      config: { errors: ['INVALID_CURSOR', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'listSandboxes',
        summary: 'List the pool',
        querystring: listQuery,
        response: { 200: listSchema },
      },
      handler: async (request) => {
        const { holder_prefix: holderPrefix, ...query } = request.query;
        const page = await useCases.listSandboxes({ ...query, holderPrefix }, callContext(request, 'admin'));
        return {
          sandboxes: page.sandboxes.map(sandboxRecord),
          count: page.sandboxes.length,
          cursor: page.cursor,
        };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/sandboxes/:id',
      config: { errors: ['SANDBOX_NOT_FOUND', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'inspectSandbox',
        summary: 'Look at a sandbox and its history',
        params: sandboxParams,
        querystring: noQuery,
        response: { 200: historySchema },
      },
      handler: async (request) => {
        const { sandbox, history } = await useCases.inspectSandbox(
          request.params.id,
          callContext(request, 'admin'),
        );
        return { ...sandboxRecord(sandbox), history: history.map(eventRecord) };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/stats',
      config: { errors: ['STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'poolStats',
        summary: 'Count the pool',
        querystring: noQuery,
        response: { 200: statsSchema },
      },
      handler: async (request) => {
        const stats = await useCases.poolStats(callContext(request, 'admin').signal);
        if (stats === undefined) {
          throw new BrokerError('STORE_UNAVAILABLE', 'The pool has not been counted yet. Try again.');
        }
        return { ...stats.counts, total: stats.total, as_of: seconds(stats.asOfMs) };
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/admin/sandboxes/:id/quarantine',
      config: { errors: HAND_REFUSALS, bodyRequired: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'quarantineSandbox',
        summary: 'Take a sandbox out of the pool',
        description:
          'It is neither leased nor deleted until it is restored, whatever the provider lists. A lease that it has goes on, ' +
          'unless end_lease says otherwise: the sandbox is out of the pool when that is over, instead of being cleaned. One ' +
          'whose deletion is under way cannot be kept: 409 INVALID_STATE.',
        params: sandboxParams,
        querystring: operateQuery,
        body: quarantineBody,
        response: { 200: recordSchema },
      },
      handler: async (request) => {
        const { params, query, body } = request;
        const input = {
          sandboxId: params.id,
          reason: body.reason,
          endLease: body.end_lease ?? false,
          leaseId: query.lease_id,
        };
        return sandboxRecord(await useCases.quarantineSandbox(input, callContext(request, 'admin')));
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/admin/sandboxes/:id/extend',
      config: { errors: HAND_REFUSALS, bodyRequired: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'extendForHolder',
        summary: 'Let a holder keep a sandbox for longer',
        description:
          'As its holder would, whoever that is and whoever waits for a sandbox: the lease ends so long from now, never beyond ' +
          'the longest lease, and never earlier than before. expires_at of the answer says what came of it. A lease that is over ' +
          'stays so: 409 LEASE_OVER.',
        params: sandboxParams,
        querystring: operateQuery,
        body: extendForHolderBody,
        response: { 200: recordSchema },
      },
      handler: async (request) => {
        const { params, query, body } = request;
        const input = {
          sandboxId: params.id,
          durationSeconds: body.duration_seconds,
          leaseId: query.lease_id,
        };
        return sandboxRecord(await useCases.extendForHolder(input, callContext(request, 'admin')));
      },
    });

    const hands = [
      ['release', 'releaseSandbox', 'Take a sandbox back whoever holds it', useCases.releaseSandbox],
      ['retry-deletion', 'retryDeletion', 'Try a failed deletion again', useCases.retryDeletion],
      [
        'restore',
        'restoreSandbox',
        'Put a sandbox from quarantine back: to a cleanup if it was used, else to who waits for it, or free',
        useCases.restoreSandbox,
      ],
    ] as const;
    for (const [name, operationId, summary, operate] of hands) {
      app.route({
        method: 'POST',
        url: `/v1/admin/sandboxes/:id/${name}`,
        config: { errors: HAND_REFUSALS },
        schema: {
          ...ADMIN_OPERATION,
          operationId,
          summary,
          params: sandboxParams,
          querystring: operateQuery,
          body: emptyBody,
          response: { 200: recordSchema },
        },
        handler: async (request) => {
          const { params, query } = request;
          return sandboxRecord(await operate(params.id, callContext(request, 'admin'), query.lease_id));
        },
      });
    }
  };
}
