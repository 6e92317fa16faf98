import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { leaseRecord } from '../../api/leases.ts';
import {
  inLineRecord,
  inLineSchema,
  leftSchema,
  lineQuery,
  lineSchema,
  placeRecord,
  servedSchema,
  ticketParams,
} from '../../api/line.ts';
import { emptyBody, holderHeaders, keyHeaders, noQuery } from '../../api/requests.ts';
import { TRACK_PRINCIPAL } from '../../domain/lease.ts';
import type { Places } from '../../usecases/line/places.ts';
import { holderOf } from '../holder.ts';
import { callContext } from '../plugins/request-context.ts';
import { ADMIN_OPERATION } from './admin/sandboxes.ts';

export interface LineRoutesDeps {
  useCases: { places: Places };
  requireTrack: onRequestHookHandler;
  requireAdmin: onRequestHookHandler;
}

const TRACK_OPERATION = { tags: ['tracks'], security: [{ trackToken: [] }] };

/** The line: for who has a place in it, and for operators. */
export function lineRoutes({
  useCases: { places },
  requireTrack,
  requireAdmin,
}: LineRoutesDeps): FastifyPluginAsyncZod {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/v1/line/:ticket',
      onRequest: requireTrack,
      config: { errors: ['TICKET_NOT_FOUND', 'PLACE_LOST', 'STORE_UNAVAILABLE', 'CLOCK_OFF'] },
      schema: {
        ...TRACK_OPERATION,
        operationId: 'getPlace',
        summary: 'Look at a place one has in the line',
        description: 'Like an allocation that is asked for again, it keeps the place; it does not wait.',
        params: ticketParams,
        headers: holderHeaders,
        querystring: noQuery,
        response: { 200: inLineSchema.or(servedSchema) },
      },
      handler: async (request) => {
        const input = { ticket: request.params.ticket, holder: holderOf(request.headers) };
        const turn = await places.look(input, callContext(request, 'track'));
        return turn.type === 'waiting'
          ? inLineRecord(turn.inLine)
          : { status: 'served' as const, ...leaseRecord(turn.lease) };
      },
    });

    app.route({
      method: 'DELETE',
      url: '/v1/line/:ticket',
      onRequest: requireTrack,
      config: { errors: ['TICKET_NOT_FOUND', 'INVALID_STATE', 'STORE_UNAVAILABLE', 'CLOCK_OFF'] },
      schema: {
        ...TRACK_OPERATION,
        operationId: 'leaveLine',
        summary: 'Give up a place in the line',
        params: ticketParams,
        headers: holderHeaders,
        querystring: noQuery,
        body: emptyBody,
        response: { 200: leftSchema },
      },
      handler: async (request) => {
        const input = { ticket: request.params.ticket, holder: holderOf(request.headers) };
        await places.leave(input, callContext(request, 'track'));
        return { status: 'left' as const, ticket_id: input.ticket };
      },
    });

    app.route({
      method: 'DELETE',
      url: '/v1/line',
      onRequest: requireTrack,
      config: { errors: ['TICKET_NOT_FOUND', 'INVALID_STATE', 'STORE_UNAVAILABLE', 'CLOCK_OFF'] },
      schema: {
        ...TRACK_OPERATION,
        operationId: 'leaveLineByKey',
        summary: 'Give up whatever place one has in the line',
        description:
          'For who has not been told of its ticket: the headers of the call that waits name the place.',
        headers: keyHeaders,
        querystring: noQuery,
        body: emptyBody,
        response: { 200: leftSchema },
      },
      handler: async (request) => {
        const holder = holderOf(request.headers);
        const context = callContext(request, 'track');
        const idempotencyKey = request.headers['idempotency-key'];
        const ticket = await places.ticketOf({ principal: TRACK_PRINCIPAL, holder, idempotencyKey }, context);
        await places.leave({ ticket, holder }, context);
        return { status: 'left' as const, ticket_id: ticket };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/line',
      onRequest: requireAdmin,
      config: { errors: ['STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'listLine',
        summary: 'List who waits',
        querystring: lineQuery,
        response: { 200: lineSchema },
      },
      handler: async (request) => {
        const { limit, cursor } = request.query;
        const {
          places: found,
          waiting,
          isMore,
        } = await places.list({ limit, after: cursor }, callContext(request, 'admin'));
        return {
          places: found.map(placeRecord),
          count: found.length,
          waiting,
          ...(isMore && { cursor: found.at(-1)?.ticket }),
        };
      },
    });

    app.route({
      method: 'DELETE',
      url: '/v1/admin/line/:ticket',
      onRequest: requireAdmin,
      config: { errors: ['TICKET_NOT_FOUND', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'removePlace',
        summary: "Take somebody's place in the line away",
        description: 'Its caller is told 409 `PLACE_LOST`, and may join again.',
        params: ticketParams,
        querystring: noQuery,
        body: emptyBody,
        response: { 200: leftSchema },
      },
      handler: async (request) => {
        await places.remove(request.params.ticket, callContext(request, 'admin'));
        return { status: 'left' as const, ticket_id: request.params.ticket };
      },
    });
  };
}
