import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../../domain/errors.ts';
import { acceptCorrelationId, runWithCorrelation } from '../../telemetry/correlation.ts';
import type { CallContext } from '../../usecases/context.ts';

/** The part of the metrics that counts requests. */
export interface RequestMetrics {
  /** @param route The route's template; undefined when no route took the request. */
  request(method: string, route: string | undefined, status: number, seconds: number): void;
}

declare module 'fastify' {
  interface FastifyRequest {
    correlationId: string;
    /** Set by the error handler, for the log line. */
    errorCode: ErrorCode | undefined;
    /** What the call came to, for the log line; see {@link tellOutcome}. */
    callOutcome: CallOutcome | undefined;
    /** Its log line is written. */
    isLogged: boolean;
  }
  interface FastifyContextConfig {
    /** Called every few seconds by a machine: its log line is `debug`. */
    probe?: boolean;
    /** An answer that goes on until one side ends it: what is measured is the time to its beginning. */
    endless?: boolean;
  }
}

/** What a call came to, in the terms of what it is about, and what belongs to that. */
export interface CallOutcome {
  action: string;
  /** `error` is the broker's own failure, whose cause the error handler logs. */
  outcome: string;
  [field: string]: unknown;
}

/** Puts what the call came to into the request's log line. If its client has gone meanwhile, it is a line of its own. */
export function tellOutcome(request: FastifyRequest, outcome: CallOutcome): void {
  if (!request.isLogged) request.callOutcome = outcome;
  else request.log[levelOf(request, outcome)](outcome, 'call ended');
}

function levelOf(request: FastifyRequest, outcome: CallOutcome | undefined): 'error' | 'info' | 'debug' {
  if (outcome?.outcome === 'error') return 'error';
  return request.routeOptions.config.probe === true ? 'debug' : 'info';
}

const MAX_LOGGED_PATH = 256;
/** What is logged and counted for a client that went away before the answer; nginx's number, no real status. */
const CLIENT_CLOSED_REQUEST = 499;

/**
 * Gives every request its ids, as headers of the answer and to everything that happens on its behalf, and writes one
 * log line and one count when it is over. Must be the first of the hooks: the others' refusals need the ids, too.
 */
export function trackRequests(app: FastifyInstance, { metrics }: { metrics: RequestMetrics }): void {
  app.decorateRequest('correlationId', '');
  app.decorateRequest('errorCode', undefined);
  app.decorateRequest('callOutcome', undefined);
  app.decorateRequest('isLogged', false);
  app.addHook('onRequest', (request, reply, done) => {
    const requestId = request.id;
    const correlationId = acceptCorrelationId(request.headers['x-correlation-id']) ?? requestId;
    request.correlationId = correlationId;
    reply.header('x-request-id', requestId);
    reply.header('x-correlation-id', correlationId);
    // A lease is nobody else's business, and a status is old at once.
    reply.header('cache-control', 'no-store');
    const startedAtMs = performance.now();
    // `close` comes for answers that were never sent, too; Fastify's onResponse does not. It comes from the socket,
    // which belongs to no request.
    reply.raw.once('close', () => {
      const latencyMs = (begunAtMs.get(request) ?? performance.now()) - startedAtMs;
      runWithCorrelation({ requestId, correlationId }, () => finish(request, reply, latencyMs));
    });
    runWithCorrelation({ requestId, correlationId }, done);
  });

  /** When the endless answers began. */
  const begunAtMs = new WeakMap<FastifyRequest, number>();
  app.addHook('onSend', (request, _reply, payload, done) => {
    if (request.routeOptions.config.endless === true) begunAtMs.set(request, performance.now());
    done(null, payload);
  });

  function finish(request: FastifyRequest, reply: FastifyReply, latencyMs: number): void {
    const route = request.is404 ? undefined : request.routeOptions.url;
    const isAnswered = reply.raw.writableFinished || begunAtMs.has(request);
    const status = isAnswered ? reply.statusCode : CLIENT_CLOSED_REQUEST;
    metrics.request(request.method, route, status, latencyMs / 1000);
    request.isLogged = true;
    request.log[levelOf(request, request.callOutcome)](
      {
        action: 'request',
        ...request.callOutcome,
        method: request.method,
        endpoint: route,
        // Without the query, and cut: it is the caller's text.
        path: request.originalUrl.split('?', 1)[0]?.slice(0, MAX_LOGGED_PATH),
        status,
        ...(!isAnswered && { outcome: 'cancelled' }),
        ...(request.caller && { caller: request.caller.name }),
        latency_ms: Math.round(latencyMs * 100) / 100,
        ...(request.errorCode === undefined ? {} : { error_code: request.errorCode }),
      },
      'request',
    );
  }
}

/**
 * The context a use case gets. A read is given up when its client goes away; a write that has begun is finished: whoever
 * lost the answer asks again with the same key. The use cases have deadlines of their own.
 */
export function callContext(request: FastifyRequest, role: 'track' | 'admin'): CallContext {
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  return {
    actor: request.caller?.actor ?? role,
    requestId: request.id,
    correlationId: request.correlationId,
    signal: isRead ? request.signal : new AbortController().signal,
  };
}
