import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import {
  allocateBody,
  allocateHeaders,
  emptyBody,
  holderHeaders,
  sandboxParams,
} from '../../api/requests.ts';
import { leaseRecord, leaseSchema, markSchema, recordSchema, sandboxRecord } from '../../api/sandboxes.ts';
import { TRACK_PRINCIPAL } from '../../domain/lease.ts';
import type { AllocateSandbox } from '../../usecases/leases/allocate-sandbox.ts';
import type { GetSandbox } from '../../usecases/leases/get-sandbox.ts';
import type { MarkForDeletion } from '../../usecases/leases/mark-for-deletion.ts';
import { holderOf } from '../holder.ts';
import { type CallMetrics, observeAllocation, observeMark } from '../observed-calls.ts';
import { callContext } from '../plugins/request-context.ts';

export interface TrackRoutesDeps {
  useCases: {
    allocateSandbox: AllocateSandbox;
    markForDeletion: MarkForDeletion;
    getSandbox: GetSandbox;
  };
  requireTrack: onRequestHookHandler;
  metrics: CallMetrics;
}

/** What labs call: take a sandbox, look at it, give it back. */
export function trackRoutes(deps: TrackRoutesDeps): FastifyPluginAsyncZod {
  const { useCases, metrics } = deps;
  return async (app) => {
    app.addHook('onRequest', deps.requireTrack);

    app.route({
      method: 'POST',
      url: '/v1/allocate',
      config: {
        errors: [
          'NO_SANDBOXES_AVAILABLE',
          'IDEMPOTENCY_KEY_REUSED',
          'POOL_NOT_SYNCED',
          'BUSY',
          'STORE_UNAVAILABLE',
          'CLOCK_OFF',
        ],
        answerHeaders: { 200: ['Idempotency-Replayed'] },
      },
      schema: {
        operationId: 'allocateSandbox',
        summary: 'Take a sandbox',
        description:
          'Leases one free sandbox to the holder. Asking again with the same key (the holder, unless there is an ' +
          'Idempotency-Key) gives the same lease, for as long as it lasts. An Idempotency-Key is remembered for a ' +
          'day from its lease (or as long as that lasts): after the lease it answers 200 with lease_over, and never ' +
          'with another sandbox.',
        tags: ['tracks'],
        security: [{ trackToken: [] }],
        headers: allocateHeaders,
        body: allocateBody,
        response: {
          200: leaseSchema.describe(
            'The lease this key already has or had, with Idempotency-Replayed: true.',
          ),
          201: leaseSchema.describe('A new lease.'),
        },
      },
      handler: async (request, reply) => {
        const holder = holderOf(request.headers);
        const { lease, replayed, leaseOver } = await observeAllocation(
          { metrics, logger: request.log, holder },
          () =>
            useCases.allocateSandbox(
              {
                principal: TRACK_PRINCIPAL,
                holder,
                lab: request.headers['x-instruqt-track-id'],
                namePrefix: request.headers['x-sandbox-name-prefix'],
                idempotencyKey: request.headers['idempotency-key'],
                durationSeconds: request.body.duration_seconds,
                heartbeatSeconds: request.body.heartbeat_seconds,
              },
              callContext(request, 'track'),
            ),
        );
        if (replayed) reply.header('idempotency-replayed', 'true');
        reply.code(replayed ? 200 : 201);
        return leaseRecord(lease, leaseOver);
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/sandboxes/:id/mark-for-deletion',
      config: {
        errors: ['NOT_SANDBOX_OWNER', 'SANDBOX_NOT_FOUND', 'BUSY', 'STORE_UNAVAILABLE', 'CLOCK_OFF'],
      },
      schema: {
        operationId: 'markForDeletion',
        summary: 'Give a sandbox back',
        description:
          'Ends the lease; the sandbox is deleted in the background. Asking again changes nothing.',
        tags: ['tracks'],
        security: [{ trackToken: [] }],
        params: sandboxParams,
        headers: holderHeaders,
        body: emptyBody,
        response: { 200: markSchema },
      },
      handler: async (request) => {
        const input = { sandboxId: request.params.id, holder: holderOf(request.headers) };
        const result = await observeMark({ metrics, logger: request.log, ...input }, () =>
          useCases.markForDeletion(input, callContext(request, 'track')),
        );
        return {
          sandbox_id: result.sandboxId,
          status: result.status,
          deletion_requested_at: result.deletionRequestedAt,
        };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/sandboxes/:id',
      config: {
        errors: ['NOT_SANDBOX_OWNER', 'SANDBOX_NOT_FOUND', 'STORE_UNAVAILABLE'],
      },
      schema: {
        operationId: 'getSandbox',
        summary: 'Look at a sandbox one holds',
        tags: ['tracks'],
        security: [{ trackToken: [] }],
        params: sandboxParams,
        headers: holderHeaders,
        response: { 200: recordSchema },
      },
      handler: async (request) => {
        const input = { sandboxId: request.params.id, holder: holderOf(request.headers) };
        return sandboxRecord(await useCases.getSandbox(input, callContext(request, 'track')));
      },
    });
  };
}
