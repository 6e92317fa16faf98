import type { onRequestHookHandler } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { seriesColumns, seriesSchema, sessionSchema } from '../../../api/live.ts';
import { noQuery } from '../../../api/requests.ts';
import { seconds } from '../../../api/times.ts';
import { BrokerError } from '../../../domain/errors.ts';
import type { EventHub, LiveEvent } from '../../../live/event-hub.ts';
import type { PoolSeries } from '../../../live/pool-series.ts';
import { ADMIN_OPERATION } from './sandboxes.ts';

const RETRY_AFTER_SECONDS = 10;

export interface LiveRoutesDeps {
  live: {
    series: Pick<PoolSeries, 'samples' | 'sinceMs' | 'capacity'>;
    sampleIntervalMs: number;
    events: Pick<EventHub, 'open' | 'close'>;
    /** What a new stream begins with. */
    greeting: () => readonly LiveEvent[];
  };
  requireAdmin: onRequestHookHandler;
}

/** What the console lives on: who is there, the last hours, and news as they come. */
export function liveRoutes({ live, requireAdmin }: LiveRoutesDeps): FastifyPluginAsyncZod {
  const { series, events } = live;
  return async (app) => {
    app.addHook('onRequest', requireAdmin);
    // Before the server waits for its connections to end: these would not by themselves.
    app.addHook('preClose', async () => events.close());

    app.route({
      method: 'GET',
      url: '/v1/admin/session',
      config: { quotaExempt: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'getSession',
        summary: 'Whose token is this?',
        querystring: noQuery,
        response: { 200: sessionSchema },
      },
      handler: async ({ caller }) => {
        const role = caller?.role === 'admin' ? 'admin' : 'viewer';
        return { role, name: caller?.name ?? role, can_change: role === 'admin' } as const;
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/history',
      config: { quotaExempt: true },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'poolHistory',
        summary: 'The last hours of the pool',
        description: 'From the memory of this replica; it begins anew with every start.',
        querystring: noQuery,
        response: { 200: seriesSchema },
      },
      handler: async () => ({
        since: seconds(series.sinceMs),
        interval_seconds: live.sampleIntervalMs / 1000,
        kept_seconds: (live.sampleIntervalMs * series.capacity) / 1000,
        ...seriesColumns(series.samples()),
      }),
    });

    app.route({
      method: 'GET',
      url: '/v1/admin/stream',
      // An answer to HEAD would have to end, and this one does not.
      exposeHeadRoute: false,
      config: { quotaExempt: true, endless: true, errors: ['BUSY'] },
      schema: {
        ...ADMIN_OPERATION,
        operationId: 'streamEvents',
        summary: 'News as they come, as server-sent events',
        description:
          'Begins with `hello` (`missed_nothing`: whether all that came after `Last-Event-ID` is sent again) and the ' +
          'present `status` and `jobs`. Then `status` (as of `/v1/admin/status`) and `jobs` (the newest ten) whenever ' +
          'they change, `sample` (what `/v1/admin/history` goes on with), `line` (how many wait, and the first twenty as of `/v1/admin/line`), ' +
          ' each `alert` that this replica raises, and `sandboxes`: ids of those it has changed ' +
          '(`changed`; `more`: there were too many), and what became of the first of them (`events`). What other ' +
          'replicas change shows in the counts of the status. A comment every few seconds tells that it is alive. Who ' +
          'does not read is dropped.',
        headers: z.object({
          'last-event-id': z.string().max(256).optional().describe('The last `id` that was seen.'),
        }),
        querystring: noQuery,
        response: {
          200: {
            description: 'Server-sent events, until the client or the broker ends it.',
            content: { 'text/event-stream': { schema: z.unknown().meta({ type: 'string' }) } },
          },
        },
      },
      handler: async (request, reply) => {
        const stream = events.open(live.greeting(), request.headers['last-event-id']);
        if (stream === undefined) {
          throw new BrokerError('BUSY', 'There are as many streams as this replica can bear.', {
            retryAfterSeconds: RETRY_AFTER_SECONDS,
          });
        }
        // Proxies that collect answers before they pass them on would keep the news to themselves.
        reply.header('x-accel-buffering', 'no');
        return reply.type('text/event-stream; charset=utf-8').send(stream);
      },
    });
  };
}
