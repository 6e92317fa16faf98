import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Resource } from '../../domain/resilience/action.ts';
import { type Governor, quotaExceeded } from '../../safety/index.ts';
import { holderNamed } from '../holder.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Does not count as a call: where the quota itself is changed, so that nobody locks himself out. */
    quotaExempt?: boolean;
    /** Takes one use of this, too, whoever calls. */
    quota?: Resource;
  }
}

/** Who is rationed: the holder, whatever token it came with, or the one operator's token. Undefined for who needs no token. */
function callerOf({ caller, headers }: FastifyRequest): string | undefined {
  if (caller === undefined) return undefined;
  if (caller.role !== 'track') return caller.name;
  const holder = holderNamed(headers);
  return holder === undefined ? undefined : `holder:${holder}`;
}

/**
 * Rations the calls of each holder and each admin token, from memory, and what single routes do. The rate limit of the address comes before it, so
 * that choosing another holder buys nothing; what is not valid has been refused by then and is nobody's call.
 */
export function rationCallers(app: FastifyInstance, governor: Pick<Governor<Resource>, 'take'>): void {
  app.decorateRequest('caller', undefined);
  app.addHook('preHandler', async (request) => {
    const { quotaExempt = false, quota } = request.routeOptions.config;
    const caller = callerOf(request);
    if (caller !== undefined && !quotaExempt) await take('api_call', caller);
    if (quota !== undefined) await take(quota);
  });

  async function take(resource: Resource, key?: string): Promise<void> {
    const verdict = await governor.take(resource, key);
    if (!verdict.allowed) throw quotaExceeded(resource, verdict.retryAfterSeconds);
  }
}
