import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Clock, NewId } from './clock.ts';
import type { Action, Resource } from './domain/resilience/action.ts';
import { createRawRefusals } from './http/client-error.ts';
import { handleError } from './http/error-handler.ts';
import { HTTP_LIMITS } from './http/limits.ts';
import type { CallMetrics } from './http/observed-calls.ts';
import { createAuth, type Tokens } from './http/plugins/auth.ts';
import { readBodies } from './http/plugins/body.ts';
import { rationCallers } from './http/plugins/caller-quota.ts';
import { type ClosingDeps, closeInOrder } from './http/plugins/closing.ts';
import { announceDryRun } from './http/plugins/dry-run.ts';
import { type KeptAnswersDeps, keepAnswers } from './http/plugins/kept-answers.ts';
import { collectRoutes, type KnownRoute, refuseUnknownRoutes } from './http/plugins/known-routes.ts';
import { describeApi } from './http/plugins/openapi.ts';
import { limitRates, type RateLimitOptions } from './http/plugins/rate-limit.ts';
import { type RequestMetrics, trackRequests } from './http/plugins/request-context.ts';
import { guardRequests, rewriteUrl } from './http/plugins/request-guard.ts';
import { addSecurityHeaders } from './http/plugins/security-headers.ts';
import { type AlertRoutesDeps, alertRoutes } from './http/routes/admin/alerts.ts';
import { type BreakerRoutesDeps, breakerRoutes } from './http/routes/admin/breakers.ts';
import { type BulkRoutesDeps, bulkRoutes } from './http/routes/admin/bulk.ts';
import { dryRunRoutes } from './http/routes/admin/dry-run.ts';
import { exportRoutes } from './http/routes/admin/export.ts';
import { governorRoutes } from './http/routes/admin/governor.ts';
import { type JobRoutesDeps, jobRoutes } from './http/routes/admin/jobs.ts';
import { type LiveRoutesDeps, liveRoutes } from './http/routes/admin/live.ts';
import { type OnceRoutesDeps, onceRoutes } from './http/routes/admin/once.ts';
import { type RetryRoutesDeps, retryRoutes } from './http/routes/admin/retries.ts';
import { runRoutes } from './http/routes/admin/runs.ts';
import { type AdminRoutesDeps, adminRoutes } from './http/routes/admin/sandboxes.ts';
import { type StatusRoutesDeps, statusRoutes } from './http/routes/admin/status.ts';
import { type WatchRoutesDeps, watchRoutes } from './http/routes/admin/watch.ts';
import { type ConsoleRoutesDeps, consoleRoutes } from './http/routes/console.ts';
import { docsRoutes } from './http/routes/docs.ts';
import { type HealthRoutesDeps, healthRoutes } from './http/routes/health.ts';
import { type LeaseRoutesDeps, leaseRoutes } from './http/routes/leases.ts';
import { type LineRoutesDeps, lineRoutes } from './http/routes/line.ts';
import { type TrackRoutesDeps, trackRoutes } from './http/routes/tracks.ts';
import type { Runs } from './loops/run.ts';
import type { DryRunLock, Governor } from './safety/index.ts';

/** What the HTTP layer needs of the metrics. */
export type HttpMetrics = RequestMetrics &
  CallMetrics &
  HealthRoutesDeps['metrics'] & {
    /** One request refused with 429. */
    rateLimited(): void;
  };

export interface AppDeps {
  useCases: TrackRoutesDeps['useCases'] &
    LeaseRoutesDeps['useCases'] &
    AdminRoutesDeps['useCases'] &
    BulkRoutesDeps['useCases'] &
    JobRoutesDeps['useCases'] &
    AlertRoutesDeps['useCases'] &
    OnceRoutesDeps['useCases'] &
    LineRoutesDeps['useCases'];
  runs: Runs;
  breakers: BreakerRoutesDeps['breakers'];
  retries: RetryRoutesDeps['retries'];
  governor: Pick<Governor<Resource>, 'take' | 'status' | 'refresh' | 'setLimit' | 'resetLimit'>;
  dryRun: Pick<DryRunLock<Action>, 'enabled' | 'strict' | 'blocks' | 'record' | 'log'>;
  idempotency: Omit<KeptAnswersDeps, 'clock'> & { counts: OnceRoutesDeps['counts'] };
  redact: OnceRoutesDeps['redact'];
  readiness: HealthRoutesDeps['readiness'];
  watch: Omit<WatchRoutesDeps, 'requireAdmin'>;
  status: StatusRoutesDeps['status'];
  live: LiveRoutesDeps['live'];
  /** The files of the operators' console. */
  consoleFiles: ConsoleRoutesDeps['files'];
  tokens: Tokens;
  rateLimit: RateLimitOptions;
  /** Whose `X-Forwarded-For` is believed: nobody's, the n nearest proxies', or these networks'. */
  trustProxy: false | number | string[];
  corsAllowedOrigins: readonly string[];
  lifecycle: ClosingDeps;
  logger: FastifyBaseLogger;
  metrics: HttpMetrics;
  clock: Clock;
  newId: NewId;
  version: string;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Every route, complete once the app is ready. */
    knownRoutes: readonly KnownRoute[];
  }
}

/**
 * Fastify refuses to count hops by itself and then trusts nobody, silently. Counting is what an operator means who says
 * that n proxies stand in front, and is safe as long as nobody reaches the broker past them.
 */
function trustedProxies(trustProxy: AppDeps['trustProxy']) {
  return typeof trustProxy === 'number' ? (_address: string, hop: number) => hop < trustProxy : trustProxy;
}

/** The whole HTTP layer, not listening: the entry point owns the process, the port, and closing. */
export function buildApp(deps: AppDeps): FastifyInstance {
  const { logger, metrics, clock, newId } = deps;
  const rawRefusals = createRawRefusals({ logger, newId });
  const app = Fastify({
    loggerInstance: logger,
    // The log line per request is ours; the ids come into it from the async context, without a child per request.
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: () => logger,
    genReqId: newId,
    trustProxy: trustedProxies(deps.trustProxy),
    bodyLimit: HTTP_LIMITS.bodyBytes,
    requestTimeout: HTTP_LIMITS.requestTimeoutMs,
    keepAliveTimeout: HTTP_LIMITS.keepAliveTimeoutMs,
    http: {
      maxHeaderSize: HTTP_LIMITS.headersBytes,
      headersTimeout: HTTP_LIMITS.headersTimeoutMs,
      connectionsCheckingInterval: HTTP_LIMITS.timeoutCheckMs,
      // Node would answer a missing Host with an empty 400 of its own; ours says what is missing.
      requireHostHeader: false,
    },
    // Requests that arrive while the app is closing are served: the load balancer may not know yet. Each of them is told
    // to close its connection, so that they come to an end.
    return503OnClosing: false,
    // Our own check names the rule; the router's limit would be a 404 or an error of its own.
    routerOptions: { maxParamLength: HTTP_LIMITS.urlLength },
    rewriteUrl,
    clientErrorHandler: rawRefusals.onClientError,
  });
  // The only expectation in use is 100-continue, which Node meets by itself. Others may be ignored (RFC 9110, 10.1.1);
  // Node would answer them with an empty 417.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));

  app.server.on('connect', rawRefusals.onConnect);

  const routes = collectRoutes(app);
  app.decorate('knownRoutes', routes);
  app.setErrorHandler(handleError);
  describeApi(app, deps.version, routes);

  // In this order: ids first, so that every refusal has them; then the headers that browsers want on refusals, too; and
  // the rate limit before anything that costs or tells something.
  trackRequests(app, { metrics });
  closeInOrder(app, deps.lifecycle);
  addSecurityHeaders(app, deps.corsAllowedOrigins);
  limitRates(app, { rateLimit: deps.rateLimit, clock, metrics });
  guardRequests(app);
  refuseUnknownRoutes(app, routes);
  readBodies(app);
  // After validation and before anything is kept or done: who comes too often, and what a strict dry run locks.
  rationCallers(app, deps.governor);
  announceDryRun(app, deps.dryRun);
  keepAnswers(app, { ...deps.idempotency, clock });

  const requireRole = createAuth({ tokens: deps.tokens, clock, metrics });
  app.register(healthRoutes({ readiness: deps.readiness, metrics, clock, version: deps.version }));
  app.register(trackRoutes({ useCases: deps.useCases, requireTrack: requireRole('track'), metrics }));
  app.register(leaseRoutes({ useCases: deps.useCases, requireTrack: requireRole('track'), metrics }));
  app.register(
    lineRoutes({
      useCases: deps.useCases,
      requireTrack: requireRole('track'),
      requireAdmin: requireRole('admin'),
    }),
  );
  app.register(adminRoutes({ useCases: deps.useCases, requireAdmin: requireRole('admin') }));
  app.register(bulkRoutes({ useCases: deps.useCases, requireAdmin: requireRole('admin') }));
  app.register(exportRoutes({ useCases: deps.useCases, requireAdmin: requireRole('admin') }));
  app.register(
    runRoutes({
      runs: deps.runs,
      submitJob: deps.useCases.submitJob,
      requireAdmin: requireRole('admin'),
    }),
  );
  app.register(jobRoutes({ useCases: deps.useCases, requireAdmin: requireRole('admin') }));
  app.register(governorRoutes({ governor: deps.governor, requireAdmin: requireRole('admin') }));
  app.register(dryRunRoutes({ dryRun: deps.dryRun, requireAdmin: requireRole('admin') }));
  app.register(
    onceRoutes({
      useCases: deps.useCases,
      counts: deps.idempotency.counts,
      redact: deps.redact,
      requireAdmin: requireRole('admin'),
    }),
  );
  app.register(
    alertRoutes({
      useCases: deps.useCases,
      runbookOf: deps.status.runbookOf,
      requireAdmin: requireRole('admin'),
    }),
  );
  app.register(watchRoutes({ ...deps.watch, requireAdmin: requireRole('admin') }));
  app.register(breakerRoutes({ breakers: deps.breakers, requireAdmin: requireRole('admin') }));
  app.register(retryRoutes({ retries: deps.retries, requireAdmin: requireRole('admin') }));
  app.register(statusRoutes({ status: deps.status, requireAdmin: requireRole('admin') }));
  app.register(liveRoutes({ live: deps.live, requireAdmin: requireRole('admin') }));
  app.register(consoleRoutes({ files: deps.consoleFiles }));
  app.register(docsRoutes);
  return app;
}
