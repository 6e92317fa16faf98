import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { leaseRecord, leaseSchema } from '../../api/leases.ts';
import { extendBody, heartbeatBody, holderHeaders, sandboxParams } from '../../api/requests.ts';
import type { ErrorCode } from '../../domain/errors.ts';
import type { ExtendInput, KeepLease } from '../../usecases/leases/keep-lease.ts';
import { holderOf } from '../holder.ts';
import { type CallMetrics, observeLeaseCall } from '../observed-calls.ts';
import { callContext, tellOutcome } from '../plugins/request-context.ts';

export interface LeaseRoutesDeps {
  useCases: { extendLease: KeepLease<ExtendInput>; heartbeat: KeepLease };
  requireTrack: onRequestHookHandler;
  metrics: Pick<CallMetrics, 'leaseExtended' | 'heartbeat'>;
}

const REFUSALS: readonly ErrorCode[] = [
  'NOT_SANDBOX_OWNER',
  'SANDBOX_NOT_FOUND',
  'LEASE_OVER',
  'BUSY',
  'STORE_UNAVAILABLE',
  'CLOCK_OFF',
];

/** What holders call while their lease runs. */
export function leaseRoutes({ useCases, requireTrack, metrics }: LeaseRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireTrack);

    app.route({
      method: 'POST',
      url: '/v1/sandboxes/:id/extend',
      config: { errors: REFUSALS, bodyRequired: true, isKeyed: true },
      schema: {
        operationId: 'extendLease',
        summary: 'Keep a sandbox for longer',
        description:
          'Moves the end of a running lease to so long from now. It never goes beyond the longest lease, and never to an ' +
          'earlier moment: expires_at of the answer says what came of it. A lease that is over stays so: 409 LEASE_OVER.',
        tags: ['tracks'],
        security: [{ trackToken: [] }],
        params: sandboxParams,
        headers: holderHeaders,
        body: extendBody,
        response: { 200: leaseSchema.describe('The lease as it is now.') },
      },
      handler: async (request) => {
        const { duration_seconds: durationSeconds, lease_id: leaseId } = request.body;
        const claim = { sandboxId: request.params.id, holder: holderOf(request.headers), leaseId };
        const lease = await observeLeaseCall(
          'extend',
          { metrics, tell: (outcome) => tellOutcome(request, outcome), claim },
          () => useCases.extendLease({ ...claim, durationSeconds }, callContext(request, 'track')),
        );
        return leaseRecord(lease);
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/sandboxes/:id/heartbeat',
      config: { errors: REFUSALS },
      schema: {
        operationId: 'heartbeat',
        summary: 'Give a sign of life',
        description:
          'For a lease with heartbeat_seconds: heartbeat_by of the answer is when the next one is to come by. One that comes ' +
          'too late revives nothing: 409 LEASE_OVER. For any other lease it only says that it is running.',
        tags: ['tracks'],
        security: [{ trackToken: [] }],
        params: sandboxParams,
        headers: holderHeaders,
        body: heartbeatBody,
        response: { 200: leaseSchema.describe('The lease as it is now.') },
      },
      handler: async (request) => {
        const claim = {
          sandboxId: request.params.id,
          holder: holderOf(request.headers),
          leaseId: request.body.lease_id,
        };
        const lease = await observeLeaseCall(
          'heartbeat',
          { metrics, tell: (outcome) => tellOutcome(request, outcome), claim },
          () => useCases.heartbeat(claim, callContext(request, 'track')),
        );
        return leaseRecord(lease);
      },
    });
  };
}
