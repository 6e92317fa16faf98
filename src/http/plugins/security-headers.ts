import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import helmet from 'helmet';

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

/** What helmet sets: with these options the same for every answer, so that it is asked once, with a request that nobody sent. */
function protectingHeaders(): Record<string, string> {
  const nobodys = new IncomingMessage(new Socket());
  const answer = new ServerResponse(nobodys);
  helmet({ contentSecurityPolicy: API_POLICY })(nobodys, answer, (error) => {
    if (error) throw error;
  });
  return Object.fromEntries(
    Object.entries(answer.getHeaders()).map(([name, value]) => [name, String(value)]),
  );
}

/**
 * The headers that tell browsers to trust nothing, and leave for the pages of the listed origins to call the API.
 * With no origin listed, preflights are answered like any other unknown method.
 */
export function addSecurityHeaders(app: FastifyInstance, allowedOrigins: readonly string[]): void {
  const headers = protectingHeaders();
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(headers);
    done();
  });
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
