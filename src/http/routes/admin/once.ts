import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import {
  type Effect,
  effectListSchema,
  effectParams,
  effectSchema,
  type Idempotency,
  idempotencyQuery,
  idempotencySchema,
  listEffectsQuery,
} from '../../../api/once.ts';
import { noQuery } from '../../../api/requests.ts';
import { seconds } from '../../../api/times.ts';
import type { RememberedKey } from '../../../domain/resilience/kept-answer.ts';
import type { IdempotencyCounts } from '../../../live/idempotency-counts.ts';
import type { Redact } from '../../../safety/index.ts';
import type { GetEffect, KnownEffect, ListEffects } from '../../../usecases/list-effects.ts';
import type { ListRememberedKeys } from '../../../usecases/list-remembered-keys.ts';
import { callContext } from '../../plugins/request-context.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

export interface OnceRoutesDeps {
  useCases: { listEffects: ListEffects; getEffect: GetEffect; listRememberedKeys: ListRememberedKeys };
  counts: Pick<IdempotencyCounts, 'report'>;
  redact: Redact;
  requireAdmin: onRequestHookHandler;
}

/** What is done once, however often it is asked for: effects, and requests with a key. */
export function onceRoutes({
  useCases,
  counts,
  redact,
  requireAdmin,
}: OnceRoutesDeps): FastifyPluginAsyncZod {
  const effectRecord = (effect: KnownEffect): Effect => ({
    id: effect.id,
    type: effect.type,
    entity: effect.entity,
    generation: effect.generation,
    state: effect.state,
    holders: effect.holders,
    lease_until: seconds(effect.leaseUntilMs),
    ...(effect.changedAtMs !== undefined && { changed_at: seconds(effect.changedAtMs) }),
    remembered_until: seconds(effect.untilMs),
    ...(effect.error !== undefined && { error: effect.error }),
    ...(effect.result !== undefined && redact({ result: effect.result })),
  });

  return async (app) => {
    app.addHook('onRequest', requireAdmin);

    app.route({
      method: 'GET',
      url: '/v1/admin/effects',
      config: { errors: ['INVALID_CURSOR', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'listEffects',
        summary: 'List what must happen once',
        description:
          'The side effects of the last 72 hours that have a record of their own, of all replicas: deletes that needed more than ' +
          'one attempt. Reads through the whole table.',
        querystring: listEffectsQuery,
        response: { 200: effectListSchema },
      },
      handler: async (request) => {
        const { effects, cursor } = await useCases.listEffects(request.query, callContext(request, 'admin'));
        return { effects: effects.map(effectRecord), count: effects.length, cursor };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/effects/:id',
      config: { errors: ['EFFECT_NOT_FOUND', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'getEffect',
        summary: 'Look at something that must happen once',
        params: effectParams,
        querystring: noQuery,
        response: { 200: effectSchema },
      },
      handler: async (request) =>
        effectRecord(await useCases.getEffect(request.params.id, callContext(request, 'admin'))),
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/idempotency',
      config: { errors: ['INVALID_CURSOR', 'STORE_UNAVAILABLE'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'listIdempotency',
        summary: 'Look at the keys of requests, and what became of them',
        description:
          'The counts are from the memory of this replica; the keys are those of all, without anything by which somebody ' +
          'could use them. Reads through the whole table.',
        querystring: idempotencyQuery,
        response: { 200: idempotencySchema },
      },
      handler: async (request) => {
        const { keys, cursor } = await useCases.listRememberedKeys(
          request.query,
          callContext(request, 'admin'),
        );
        return { ...counts.report(), keys: keys.map(keyRecord), count: keys.length, cursor };
      },
    });
  };
}

function keyRecord(key: RememberedKey): Idempotency['keys'][number] {
  const common = { id: key.id, began_at: seconds(key.beganAtMs), remembered_until: seconds(key.untilMs) };
  if (key.kind === 'lease') {
    const { kind, state, sandboxId, leaseId, isChosen } = key;
    return { ...common, kind, state, sandbox_id: sandboxId, lease_id: leaseId, chosen: isChosen };
  }
  const { kind, state, operation, replica, answerStatus } = key;
  return { ...common, kind, state, operation, replica, answer_status: answerStatus };
}
