import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import {
  leaseRecord,
  leaseSchema,
  leasesSchema,
  markRecord,
  markSchema,
  marksSchema,
} from '../../api/leases.ts';
import { inLineRecord, inLineSchema, preferredWait } from '../../api/line.ts';
import {
  allocateBody,
  allocateHeaders,
  emptyBody,
  holderHeaders,
  keyHeaders,
  sandboxParams,
} from '../../api/requests.ts';
import { recordSchema, sandboxRecord } from '../../api/sandboxes.ts';
import type { CallContext } from '../../usecases/context.ts';
import type {
  AllocateInLine,
  AllocateInput,
  AllocateResult,
  AllocateSandbox,
} from '../../usecases/leases/allocate-sandbox.ts';
import type { AllocateSeveral, SeveralResult } from '../../usecases/leases/allocate-several.ts';
import type { GetSandbox } from '../../usecases/leases/get-sandbox.ts';
import type { MarkAll, MarkForDeletion } from '../../usecases/leases/mark-for-deletion.ts';
import type { InLine, Wait } from '../../usecases/line/wait-in-line.ts';
import { holderOf } from '../holder.ts';
import { type CallMetrics, observeAllocation, observeMark, observeMarkAll } from '../observed-calls.ts';
import { callerOf } from '../plugins/auth.ts';
import { type CallOutcome, callContext, tellOutcome } from '../plugins/request-context.ts';
import { invalidRequest } from '../validation-problems.ts';

export interface TrackRoutesDeps {
  useCases: {
    allocateSandbox: AllocateSandbox;
    allocateInLine: AllocateInLine;
    allocateSeveral: AllocateSeveral;
    markAll: MarkAll;
    markForDeletion: MarkForDeletion;
    getSandbox: GetSandbox;
  };
  requireTrack: onRequestHookHandler;
  metrics: CallMetrics;
}

/** How the caller wants to wait; undefined: not at all. */
function waitOf(request: {
  headers: { prefer?: string | undefined };
  body: { wait_seconds?: number | undefined; priority?: number | undefined };
  signal: AbortSignal;
}): Wait | undefined {
  const seconds = request.body.wait_seconds ?? preferredWait(request.headers.prefer);
  if (seconds === undefined) return undefined;
  return { seconds, priority: request.body.priority ?? 0, gone: request.signal };
}

/** Throws `INVALID_REQUEST`: whoever waited for several would keep free ones from all those behind it. */
function refuseWaiting(wait: Wait | undefined): void {
  if (!wait) return;
  const problem = 'cannot be waited for in line; leave wait_seconds and Prefer: wait out, and ask again';
  throw invalidRequest([{ in: 'body', name: 'count', problem }]);
}

/** Who has waited its time asks again at once; whom a stop sent away, in a moment; who does not wait, in a while. */
function retryAfterSeconds({ seconds }: Wait, { waitedMs = 0 }: InLine): number {
  if (seconds === 0) return 5;
  return waitedMs >= seconds * 900 ? 0 : 1;
}

/** What labs call: take a sandbox, look at it, give it back. */
export function trackRoutes(deps: TrackRoutesDeps): FastifyPluginAsyncZod {
  const { useCases, metrics } = deps;
  const take = async (
    input: AllocateInput,
    { wait, count }: { wait: Wait | undefined; count: number | undefined },
    context: CallContext,
  ): Promise<AllocateResult | SeveralResult | InLine> => {
    if (count !== undefined) return await useCases.allocateSeveral({ ...input, count }, context);
    if (wait) return await useCases.allocateInLine(input, wait, context);
    return await useCases.allocateSandbox(input, context);
  };
  return async (app) => {
    app.addHook('onRequest', deps.requireTrack);

    app.route({
      method: 'POST',
      url: '/v1/allocate',
      config: {
        quota: 'allocate',
        errors: [
          'NO_SANDBOXES_AVAILABLE',
          'LINE_FULL',
          'PLACE_LOST',
          'IDEMPOTENCY_KEY_REUSED',
          'POOL_NOT_SYNCED',
          'BUSY',
          'STORE_UNAVAILABLE',
          'CLOCK_OFF',
        ],
        answerHeaders: {
          200: ['Idempotency-Replayed', 'Preference-Applied'],
          201: ['Preference-Applied'],
          202: ['Retry-After', 'Preference-Applied'],
        },
      },
      schema: {
        operationId: 'allocateSandbox',
        summary: 'Take a sandbox',
        description:
          'Leases one free sandbox to the holder. Asking again with the same key (the holder, unless there is an ' +
          'Idempotency-Key) gives the same lease, for as long as it lasts. An Idempotency-Key is remembered for a ' +
          'day from its lease (or as long as that lasts): after the lease it answers 200 with lease_over, and never ' +
          'with another sandbox. With Prefer: wait=<seconds> or wait_seconds (0 to 60) the call waits in line where ' +
          'nothing is free: it is served in its turn, or answered 202 with its place. Asked again it keeps the place; ' +
          'without another call for a minute the place is given up. With count the key gets so many sandboxes, or none; ' +
          'asked again it gets all of them again, each with a lease of its own.',
        tags: ['tracks'],
        security: [{ trackToken: [] }],
        headers: allocateHeaders,
        body: allocateBody,
        response: {
          200: leaseSchema
            .or(leasesSchema)
            .describe('What this key already has or had, with Idempotency-Replayed: true.'),
          201: leaseSchema.or(leasesSchema).describe('A new lease; with count, so many.'),
          202: inLineSchema,
        },
      },
      handler: async (request, reply) => {
        const holder = holderOf(request.headers);
        const wait = waitOf(request);
        if (request.body.count !== undefined) refuseWaiting(wait);
        const input = {
          principal: callerOf(request).principal,
          holder,
          lab: request.headers['x-instruqt-track-id'],
          namePrefix: request.headers['x-sandbox-name-prefix'],
          idempotencyKey: request.headers['idempotency-key'],
          durationSeconds: request.body.duration_seconds,
          heartbeatSeconds: request.body.heartbeat_seconds,
        };
        const context = callContext(request, 'track');
        const tell = (outcome: CallOutcome) => tellOutcome(request, outcome);
        const result = await observeAllocation({ metrics, tell, holder }, () =>
          take(input, { wait, count: request.body.count }, context),
        );
        const preferred = preferredWait(request.headers.prefer);
        if (preferred !== undefined && preferred === wait?.seconds) {
          reply.header('preference-applied', `wait=${preferred}`);
        }
        if ('ticket' in result) {
          reply.code(202);
          if (wait) reply.header('retry-after', retryAfterSeconds(wait, result));
          return inLineRecord(result);
        }
        if (result.replayed) reply.header('idempotency-replayed', 'true');
        reply.code(result.replayed ? 200 : 201);
        if (!('leases' in result)) return leaseRecord(result.lease, result.leaseOver);
        const leases = result.leases.map(({ lease, leaseOver }) => leaseRecord(lease, leaseOver));
        return { count: leases.length, leases };
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
        const result = await observeMark(
          { metrics, tell: (outcome) => tellOutcome(request, outcome), ...input },
          () => useCases.markForDeletion(input, callContext(request, 'track')),
        );
        return markRecord(result);
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/mark-for-deletion',
      config: { errors: ['SANDBOX_NOT_FOUND', 'BUSY', 'STORE_UNAVAILABLE', 'CLOCK_OFF'] },
      schema: {
        operationId: 'markAllForDeletion',
        summary: 'Give back all that a key has',
        description:
          'For a key that was given several sandboxes: each is given back as by itself. What has another lease by now is ' +
          'left out. Asking again changes nothing.',
        tags: ['tracks'],
        security: [{ trackToken: [] }],
        headers: keyHeaders,
        body: emptyBody,
        response: { 200: marksSchema },
      },
      handler: async (request) => {
        const holder = holderOf(request.headers);
        const { principal } = callerOf(request);
        const idempotencyKey = request.headers['idempotency-key'];
        const tell = (outcome: CallOutcome) => tellOutcome(request, outcome);
        const results = await observeMarkAll({ metrics, tell, holder }, () =>
          useCases.markAll({ principal, holder, idempotencyKey }, callContext(request, 'track')),
        );
        return { count: results.length, marked: results.map(markRecord) };
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
