import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import {
  bulkReleaseQuery,
  bulkReleaseSchema,
  countQuery,
  countSchema,
  retryDeletionsQuery,
  retryDeletionsSchema,
} from '../../../api/bulk.ts';
import { bulkDeleteQuery, emptyBody } from '../../../api/requests.ts';
import { runRecord, runSchema } from '../../../api/sandboxes.ts';
import { seconds } from '../../../api/times.ts';
import type { BulkDelete } from '../../../usecases/inventory/purge-records.ts';
import type { CountSandboxes, ManyResult, OperateOnMany } from '../../../usecases/leases/operate-on-many.ts';
import { callContext } from '../../plugins/request-context.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface BulkRoutesDeps {
  useCases: {
    countSandboxes: CountSandboxes;
    releaseSandboxes: OperateOnMany;
    retryDeletions: OperateOnMany;
    bulkDelete: BulkDelete;
  };
  requireAdmin: onRequestHookHandler;
}

/** An operator's hand on many at once, and how many that are. */
export function bulkRoutes({ useCases, requireAdmin }: BulkRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/sandbox-count',
      config: { errors: ['STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'countSandboxes',
        summary: 'How many sandboxes a filter means',
        description: 'To be asked before something is done to all of them.',
        querystring: countQuery,
        response: { 200: countSchema },
      },
      handler: async (request) => {
        const { holder_prefix: holderPrefix, ...query } = request.query;
        const counted = await useCases.countSandboxes(
          { ...query, holderPrefix },
          callContext(request, 'admin'),
        );
        return { count: counted.count, as_of: seconds(counted.asOfMs) };
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/admin/release',
      config: { errors: ['INVALID_CURSOR', 'STORE_UNAVAILABLE', 'CLOCK_OFF'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'releaseSandboxes',
        summary: 'Take back all sandboxes that a filter means',
        description:
          'Ends their leases, whoever holds them; the next cleanup deletes them. Each is bound to the lease that was found: ' +
          'what has gone to somebody else meanwhile is skipped. One that cannot be changed does not stop the others.',
        querystring: bulkReleaseQuery,
        body: emptyBody,
        response: { 200: bulkReleaseSchema },
      },
      handler: async (request) => {
        const {
          holder_prefix: holderPrefix,
          leased_before: leasedBefore,
          all: _all,
          ...query
        } = request.query;
        const startedAtMs = performance.now();
        const done = await useCases.releaseSandboxes(
          { ...query, holderPrefix, leasedBefore },
          callContext(request, 'admin'),
        );
        return {
          ...manyRecord(done, startedAtMs),
          released: done.counts.changed,
          released_sandboxes: done.changedIds,
        };
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/admin/retry-deletions',
      config: { errors: ['INVALID_CURSOR', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'retryDeletions',
        summary: 'Try failed deletions again',
        description:
          'Gives all, or those that a filter means, parked or not, a fresh set of attempts, due at once; where the last ' +
          'delete had no answer, as soon as it is surely over. One that cannot be changed does not stop the others.',
        querystring: retryDeletionsQuery,
        body: emptyBody,
        response: { 200: retryDeletionsSchema },
      },
      handler: async (request) => {
        const { holder_prefix: holderPrefix, ...query } = request.query;
        const startedAtMs = performance.now();
        const done = await useCases.retryDeletions({ ...query, holderPrefix }, callContext(request, 'admin'));
        return {
          ...manyRecord(done, startedAtMs),
          retried: done.counts.changed,
          retried_sandboxes: done.changedIds,
        };
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/admin/bulk-delete',
      config: { errors: ['BUSY', 'STORE_UNAVAILABLE', 'CLOCK_OFF'], irreversible: 'bulk_delete' },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'bulkDelete',
        summary: 'Remove records',
        description: 'Removes the records in one status, never a leased one. The sandboxes are not touched.',
        querystring: bulkDeleteQuery,
        body: emptyBody,
        response: { 200: runSchema },
      },
      handler: async (request) => {
        const startedAtMs = performance.now();
        const counts = await useCases.bulkDelete(request.query, callContext(request, 'admin'));
        return runRecord({ counts: { ...counts }, durationMs: performance.now() - startedAtMs });
      },
    });
  };
}

/** What an order about many has in common, whatever was done. */
const manyRecord = ({ counts, failedIds, cursor }: ManyResult, startedAtMs: number) => ({
  status: 'completed' as const,
  found: counts.found,
  skipped: counts.skipped,
  failed: counts.failed,
  failed_sandboxes: failedIds,
  cursor,
  duration_ms: Math.round(performance.now() - startedAtMs),
});
