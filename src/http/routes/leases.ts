import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { leaseRecord, leaseSchema } from '../../api/leases.ts';
import { reportedRecord, reportedSchema } from '../../api/line.ts';
import {
  extendBody,
  heartbeatBody,
  holderHeaders,
  reportBody,
  reportHeaders,
  sandboxParams,
} from '../../api/requests.ts';
import type { ErrorCode } from '../../domain/errors.ts';
import type { ExtendInput, KeepLease } from '../../usecases/leases/keep-lease.ts';
import type { ReportSandbox } from '../../usecases/leases/report-sandbox.ts';
import { holderOf } from '../holder.ts';
import { type CallMetrics, observeLeaseCall, observeReport } from '../observed-calls.ts';
import { type CallOutcome, callContext, tellOutcome } from '../plugins/request-context.ts';

export interface LeaseRoutesDeps {
  useCases: { extendLease: KeepLease<ExtendInput>; heartbeat: KeepLease; reportSandbox: ReportSandbox };
  requireTrack: onRequestHookHandler;
  metrics: Pick<CallMetrics, 'leaseExtended' | 'heartbeat' | 'reported'>;
}

const REFUSALS: readonly ErrorCode[] = [
  'NOT_SANDBOX_OWNER',
  'SANDBOX_NOT_FOUND',
  'LEASE_OVER',
  'BUSY',
  'STORE_UNAVAILABLE',
  'CLOCK_OFF',
];

/** Whoever waits asks again soon: that keeps the place. */
const IN_LINE_RETRY_AFTER_SECONDS = 1;

/** What holders call while their lease runs. */
export function leaseRoutes({ useCases, requireTrack, metrics }: LeaseRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.addHook('onRequest', requireTrack);

    app.route({
      method: 'POST',
      url: '/v1/sandboxes/:id/extend',
      config: { errors: [...REFUSALS, 'OTHERS_WAIT'], bodyRequired: true, isKeyed: true },
      schema: {
        operationId: 'extendLease',
        summary: 'Keep a sandbox for longer',
        description:
          'Moves the end of a running lease to so long from now. It never goes beyond the longest lease, and never to an ' +
          'earlier moment: expires_at of the answer says what came of it. A lease that is over stays so: 409 LEASE_OVER. ' +
          'Where the broker is so configured, 409 OTHERS_WAIT while somebody else waits in the line for a sandbox like it.',
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

    app.route({
      method: 'POST',
      url: '/v1/sandboxes/:id/report',
      config: {
        quota: 'allocate',
        errors: [...REFUSALS, 'INVALID_STATE', 'PLACE_LOST'],
        bodyRequired: true,
        answerHeaders: { 202: ['Retry-After'] },
      },
      schema: {
        operationId: 'reportSandbox',
        summary: 'Report a sandbox as broken',
        description:
          'Ends the lease and puts the sandbox into quarantine, where an operator looks at it. With replace its key gets ' +
          'another sandbox in the same transaction, for as long and with the same promises, or, where nothing is free, a ' +
          'place at the head of the line: allocate with the same key keeps it. Reported again it is answered the same, and ' +
          'never with a second one. X-Sandbox-Name-Prefix is that of the allocation.',
        tags: ['tracks'],
        security: [{ trackToken: [] }],
        params: sandboxParams,
        headers: reportHeaders,
        body: reportBody,
        response: {
          200: reportedSchema,
          202: reportedSchema.describe('Nothing was free: the key has a place in the line.'),
        },
      },
      handler: async (request, reply) => {
        const { reason, replace = false, lease_id: leaseId } = request.body;
        const input = {
          sandboxId: request.params.id,
          holder: holderOf(request.headers),
          leaseId,
          reason,
          replace,
          namePrefix: request.headers['x-sandbox-name-prefix'],
        };
        const tell = (outcome: CallOutcome) => tellOutcome(request, outcome);
        const result = await observeReport({ metrics, tell, ...input }, () =>
          useCases.reportSandbox(input, callContext(request, 'track')),
        );
        if (result.replacement?.type === 'waiting') {
          reply.code(202).header('retry-after', IN_LINE_RETRY_AFTER_SECONDS);
        }
        return reportedRecord(result);
      },
    });
  };
}
