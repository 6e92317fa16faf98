import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { BrokerError, type ErrorCode } from '../../domain/errors.ts';
import { errorAnswer } from '../error-handler.ts';
import { errorSchema } from '../schemas.ts';

export interface Readiness {
  ready: boolean;
  /** Each check's name and its state, such as `ok`, `failing`, `degraded`, `shutting_down`. */
  checks: Record<string, string>;
}

export interface HealthRoutesDeps {
  readiness: () => Promise<Readiness>;
  metrics: { text(): Promise<{ contentType: string; body: string }> };
  clock: Clock;
  version: string;
}

const timestamp = z.int().describe('Epoch seconds.');
const healthSchema = z.object({ status: z.literal('healthy'), timestamp });
const readySchema = z.object({
  status: z.literal('ready'),
  timestamp,
  checks: z.record(z.string(), z.string()),
});
const notReadySchema = readySchema
  .extend({ status: z.literal('not_ready') })
  .extend(errorSchema.shape)
  .describe('Not ready; the checks name what fails.');
const aboutSchema = z.object({
  name: z.string(),
  version: z.string(),
  docs: z.string(),
  openapi: z.string(),
});

/** Machines ask every few seconds, and must get an answer from a busy broker. */
const PROBE = { rateLimitExempt: true, probe: true } as const;

/** What went wrong, in the form of every other error: a client that knows only that one understands it, too. */
function notReady(checks: Record<string, string>): BrokerError {
  const failing = Object.entries(checks).filter(([, state]) => state !== 'ok');
  const code: ErrorCode = failing.some(([, state]) => state === 'shutting_down')
    ? 'SHUTTING_DOWN'
    : 'STORE_UNAVAILABLE';
  return new BrokerError(
    code,
    `Not ready: ${failing.map(([name, state]) => `${name} ${state}`).join(', ')}.`,
  );
}

/** What machines ask: alive, ready, how much of everything, and who is there. No token needed. */
export function healthRoutes({
  readiness,
  metrics,
  clock,
  version,
}: HealthRoutesDeps): FastifyPluginAsyncZod {
  const now = () => Math.floor(clock.nowMs() / 1000);
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/healthz',
      config: PROBE,
      schema: {
        operationId: 'health',
        summary: 'Is the process alive?',
        tags: ['health'],
        response: { 200: healthSchema },
      },
      handler: async () => ({ status: 'healthy' as const, timestamp: now() }),
    });

    app.route({
      method: 'GET',
      url: '/readyz',
      config: PROBE,
      schema: {
        operationId: 'readiness',
        summary: 'Can it serve?',
        tags: ['health'],
        response: { 200: readySchema, 503: notReadySchema },
      },
      handler: async (request, reply) => {
        const { ready, checks } = await readiness();
        if (ready) return { status: 'ready' as const, timestamp: now(), checks };
        const { body } = errorAnswer(notReady(checks), request.id);
        reply.code(503).header('retry-after', body.error.retry_after);
        return { status: 'not_ready' as const, timestamp: now(), checks, ...body };
      },
    });

    app.route({
      method: 'GET',
      url: '/metrics',
      config: PROBE,
      schema: {
        operationId: 'metrics',
        summary: 'Metrics for Prometheus',
        tags: ['health'],
        response: {
          200: {
            description: "Prometheus' text format.",
            content: { 'text/plain': { schema: z.string() } },
          },
        },
      },
      handler: async (_request, reply) => {
        const { contentType, body } = await metrics.text();
        return reply.type(contentType).send(body);
      },
    });

    app.route({
      method: 'GET',
      url: '/',
      schema: {
        operationId: 'about',
        summary: 'What is this?',
        tags: ['health'],
        response: { 200: aboutSchema },
      },
      handler: async () => ({
        name: 'sandbox-broker',
        version,
        docs: '/v1/docs',
        openapi: '/v1/openapi.json',
      }),
    });
  };
}
