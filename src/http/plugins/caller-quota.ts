import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Governor, quotaExceeded } from '../../safety/quota/governor.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Does not count as a call: where the quota itself is changed, so that nobody locks himself out. */
    quotaExempt?: boolean;
  }
}

/** Who is rationed: the holder, whatever token it came with, or the one operator's token. Undefined for who needs no token. */
function callerOf({ caller, headers }: FastifyRequest): string | undefined {
  if (caller === undefined) return undefined;
  if (caller.role !== 'track') return caller.name;
  const holder = headers['x-instruqt-sandbox-id'] ?? headers['x-track-id'];
  return holder === undefined ? undefined : `holder:${String(holder)}`;
}

/**
 * Rations the calls of each holder and each admin token, from memory. The rate limit of the address comes before it, so
 * that choosing another holder buys nothing; what is not valid has been refused by then and is nobody's call.
 */
export function rationCallers(app: FastifyInstance, governor: Pick<Governor, 'take'>): void {
  app.decorateRequest('caller', undefined);
  app.addHook('preHandler', async (request) => {
    const caller = callerOf(request);
    if (caller === undefined || request.routeOptions.config.quotaExempt === true) return;
    const verdict = await governor.take('api_call', caller);
    if (!verdict.allowed) throw quotaExceeded('api_call', verdict.retryAfterSeconds);
  });
}
