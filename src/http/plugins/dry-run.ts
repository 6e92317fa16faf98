import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Action } from '../../domain/resilience/action.ts';
import { type DryRunLock, dryRunResult, refuseIfLocked } from '../../safety/index.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the call comes down to, if that cannot be undone; where it depends on the body, read out of it. */
    irreversible?: Action | ((body: unknown) => Action | undefined);
  }
}

function irreversibleOf({ routeOptions, body }: FastifyRequest): Action | undefined {
  const { irreversible } = routeOptions.config;
  return typeof irreversible === 'function' ? irreversible(body) : irreversible;
}

/**
 * Refuses what cannot be undone under a strict dry run, and under any other says in the answer that it was one. That
 * nothing is done is the guard's business, whoever calls.
 */
export function announceDryRun(
  app: FastifyInstance,
  dryRun: Pick<DryRunLock<Action>, 'strict' | 'blocks' | 'record'>,
): void {
  app.addHook('preHandler', (request, _reply, done) => {
    const irreversible = irreversibleOf(request);
    if (irreversible !== undefined) {
      refuseIfLocked(dryRun, irreversible, { by: request.routeOptions.url, query: request.query });
    }
    done();
  });
  app.addHook('preSerialization', async (request, reply, payload) => {
    // An error says what it says, and a job that was accepted has no result yet.
    if (reply.statusCode !== 200) return payload;
    const irreversible = irreversibleOf(request);
    if (irreversible === undefined || !dryRun.blocks(irreversible)) return payload;
    return { ...(payload as object), ...dryRunResult(irreversible) };
  });
}
