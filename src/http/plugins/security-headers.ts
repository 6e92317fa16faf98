import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';

/** A browser shows these answers to nobody: nothing to load, nothing to frame. The docs page has a policy of its own. */
const API_POLICY = {
  useDefaults: false,
  directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
};

/** What a page may read of an answer besides its body. */
const EXPOSED_HEADERS = [
  'X-Request-ID',
  'X-Correlation-ID',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'Retry-After',
  'Idempotency-Replayed',
  'Location',
  'Preference-Applied',
];

/**
 * The headers that tell browsers to trust nothing, and leave for the pages of the listed origins to call the API.
 * With no origin listed, preflights are answered like any other unknown method.
 */
export function addSecurityHeaders(app: FastifyInstance, allowedOrigins: readonly string[]): void {
  app.register(helmet, { contentSecurityPolicy: API_POLICY });
  if (allowedOrigins.length === 0) return;
  app.register(cors, {
    origin: [...allowedOrigins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    exposedHeaders: EXPOSED_HEADERS,
    maxAge: 600,
    // On to the rate limit, and OPTIONS that is no preflight to its 405; the plugin would answer both by itself.
    preflightContinue: true,
    strictPreflight: false,
  });
}
