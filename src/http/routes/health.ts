import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { aboutSchema, healthSchema, notReadySchema, readySchema, refusingSchema } from '../../api/health.ts';
import { seconds } from '../../api/times.ts';
import type { Clock } from '../../clock.ts';
import { BrokerError, type ErrorCode } from '../../domain/errors.ts';
import type { Verdict } from '../../domain/readiness.ts';
import { errorAnswer } from '../error-handler.ts';

export interface Readiness {
  verdict: Verdict;
  /** Why the verdict is not `go`. */
  reasons: string[];
  /** Each check's name and how it came out: `ok`, `degraded: <reason>`, `error: <reason>`, `shutting_down`. */
  checks: Record<string, string>;
  /** What callers are refused with; there when the verdict is `no_go`. */
  refusal?: ErrorCode | undefined;
  /** Where the verdict is `no_go` for every replica at once, they go on to be asked, and refuse by themselves. */
  staysInService?: boolean | undefined;
}

export interface HealthRoutesDeps {
  readiness: () => Promise<Readiness>;
  metrics: { text(): Promise<{ contentType: string; body: string }> };
  clock: Clock;
  version: string;
}

/** Machines ask every few seconds, and must get an answer from a busy broker. */
const PROBE = { rateLimitExempt: true, probe: true } as const;

/** What went wrong, in the form of every other error: a client that knows only that one understands it, too. */
const notReady = ({ reasons, refusal = 'STORE_UNAVAILABLE' }: Readiness): BrokerError =>
  new BrokerError(refusal, `Not serving: ${reasons.join('; ')}.`);

/** What machines ask: alive, ready, how much of everything, and who is there. No token needed. */
export function healthRoutes({
  readiness,
  metrics,
  clock,
  version,
}: HealthRoutesDeps): FastifyPluginAsyncZod {
  const now = () => seconds(clock.nowMs());
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
        response: { 200: z.union([readySchema, refusingSchema]), 503: notReadySchema },
      },
      handler: async (request, reply) => {
        const found = await readiness();
        const { verdict, reasons, checks } = found;
        const answer = { verdict, reasons, timestamp: now(), checks };
        if (verdict !== 'no_go') return { status: 'ready' as const, ...answer };
        const { body } = errorAnswer(notReady(found), request.id);
        if (found.staysInService) return { status: 'refusing' as const, ...answer, ...body };
        reply.code(503).header('retry-after', body.error.retry_after);
        return { status: 'not_ready' as const, ...answer, ...body };
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
