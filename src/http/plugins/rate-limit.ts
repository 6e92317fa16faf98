import type { FastifyInstance } from 'fastify';
import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import { clientKey } from '../client-address.ts';
import { createLimiter } from '../token-bucket.ts';

/** Addresses remembered; some 100 bytes each. */
export const MAX_ADDRESSES = 10_000;

export interface RateLimitOptions {
  /** Calls per second and client address in the long run. */
  rps: number;
  /** Calls that may come at once. */
  burst: number;
}

interface RateLimitDeps {
  rateLimit: RateLimitOptions;
  clock: Clock;
  metrics: { rateLimited(): void };
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Probes and scrapes: never refused, or a busy client would make the broker look dead. */
    rateLimitExempt?: boolean;
  }
}

/**
 * One token bucket per client address, for every path that is not exempt, unknown ones included. The default burst
 * fits a course: a thousand students behind one address who all start at once.
 */
export function limitRates(app: FastifyInstance, { rateLimit, clock, metrics }: RateLimitDeps): void {
  const take = createLimiter(
    { perSecond: rateLimit.rps, burst: rateLimit.burst, maxKeys: MAX_ADDRESSES },
    clock,
  );
  app.addHook('onRequest', (request, reply, done) => {
    if (request.routeOptions.config.rateLimitExempt === true) return done();
    const verdict = take(clientKey(request));
    reply.header('x-ratelimit-limit', rateLimit.burst);
    reply.header('x-ratelimit-remaining', verdict.remaining);
    reply.header('x-ratelimit-reset', verdict.resetSeconds);
    if (!verdict.allowed) {
      metrics.rateLimited();
      throw new BrokerError('RATE_LIMITED', 'Too many requests from this address.', {
        retryAfterSeconds: verdict.retryAfterSeconds,
      });
    }
    done();
  });
}
