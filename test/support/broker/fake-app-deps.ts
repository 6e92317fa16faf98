import type { AppDeps } from '../../../src/app.ts';
import { BrokerError } from '../../../src/domain/errors.ts';
import type { PendingJob } from '../../../src/domain/job.ts';
import { ACTIONS, QUOTA_SCOPES, RESOURCES } from '../../../src/domain/resilience/action.ts';
import type { AllocatedSandbox, AvailableSandbox } from '../../../src/domain/sandbox.ts';
import { createEventHub } from '../../../src/live/event-hub.ts';
import { createIdempotencyCounts } from '../../../src/live/idempotency-counts.ts';
import { createPoolSeries } from '../../../src/live/pool-series.ts';
import { watchRuntime } from '../../../src/live/runtime-watch.ts';
import { createBreaker } from '../../../src/safety/breaker/breaker.ts';
import { createDryRunLock } from '../../../src/safety/dry-run/dry-run.ts';
import { createReadiness } from '../../../src/safety/readiness/readiness.ts';
import { redaction } from '../../../src/safety/redacted.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { createMetricsGuard } from '../../../src/telemetry/metrics-guard.ts';

/** The start of every fake clock: 2026-01-01T00:00:00Z. */
export const START_MS = 1_767_225_600_000;
export const TRACK_TOKEN = 'track-token-for-tests';
export const ADMIN_TOKEN = 'admin-token-for-tests';

export const availableSandbox: AvailableSandbox = {
  status: 'available',
  id: 'sbx-1',
  name: 'lab-0001',
  externalId: 'ext/1',
  metadata: {},
  generation: 1,
  createdAtMs: START_MS,
  updatedAtMs: START_MS + 1500,
};

export const fakeLease = {
  sandboxId: 'sbx-1',
  name: 'lab-0001',
  externalId: 'ext/1',
  leaseId: 'lease-1',
  fencingToken: 2,
  allocatedAt: 1_767_225_600,
  expiresAt: 1_767_240_000,
};

export const leasedSandbox: AllocatedSandbox = {
  ...availableSandbox,
  status: 'allocated',
  lease: {
    ...fakeLease,
    holder: 'holder-1',
    reclaimAt: fakeLease.expiresAt + 1_800,
    idempotencyPk: 'IDEM#1',
  },
};

export const pendingJob: PendingJob = {
  id: 'job-1767225600000-0000000001',
  status: 'pending',
  request: { type: 'sync', options: { force: false } },
  submitter: { actor: 'admin', requestId: 'id-1', correlationId: 'id-1' },
  submittedAtMs: START_MS,
  attempts: 0,
  waits: 0,
  generation: 1,
};

export type LogLine = Record<string, unknown> & { level: string; msg: string };

/** What the fakes saw, in order: the name of the function and its arguments. */
export type Call = [name: string, ...args: unknown[]];

export interface Recorded {
  calls: Call[];
  /** Only the calls of this name, without it. */
  of(name: string): unknown[][];
  logs: LogLine[];
  clock: { nowMs(): number; advance(ms: number): void };
}

/** Of the only place in the line. */
export const TICKET = `9-0000000000001-${'0'.repeat(64)}`;
const fakePlace = { ticket: TICKET, position: 2, waiting: 3, etaSeconds: 60 };

const fakeMark = (sandboxId: string) => ({
  sandboxId,
  status: 'pending_deletion' as const,
  deletionRequestedAt: 1_767_225_700,
  repeated: false,
});

/** Everything the app needs, answering with something sensible and remembering what it was asked. */
const MANY = {
  counts: { found: 3, changed: 1, skipped: 1, failed: 1 },
  changedIds: ['sbx-1'],
  failedIds: ['sbx-3'],
};

export function fakeAppDeps(overrides: Partial<AppDeps> = {}): { deps: AppDeps; recorded: Recorded } {
  let nowMs = START_MS;
  let ids = 0;
  const recorded: Recorded = {
    calls: [],
    of: (name) => recorded.calls.filter(([called]) => called === name).map(([, ...args]) => args),
    logs: [],
    clock: { nowMs: () => nowMs, advance: (ms) => (nowMs += ms) },
  };
  const record =
    <Args extends unknown[], Result>(name: string, answer: (...args: Args) => Result) =>
    (...args: Args): Result => {
      recorded.calls.push([name, ...args]);
      return answer(...args);
    };
  const run = (counts: Record<string, number>) => async () => ({ counts, durationMs: 12.4 });

  const breakers = {
    csp_list: createBreaker({ name: 'csp_list', clock: recorded.clock }),
    csp_delete: createBreaker({ name: 'csp_delete', clock: recorded.clock }),
    webhook: createBreaker({ name: 'webhook', clock: recorded.clock }),
  };
  const never = new AbortController().signal;
  const deps: AppDeps = {
    lifecycle: { stopping: never, cutOff: never },
    useCases: {
      allocateSandbox: record('allocateSandbox', async () => ({
        lease: fakeLease,
        replayed: false,
        conflicts: 0,
      })),
      allocateInLine: record('allocateInLine', async () => fakePlace),
      allocateSeveral: record('allocateSeveral', async () => ({
        leases: [{ lease: fakeLease }, { lease: { ...fakeLease, sandboxId: 'sbx-2', leaseId: 'lease-2' } }],
        replayed: false,
        conflicts: 0,
      })),
      markAll: record('markAll', async () => ['sbx-1', 'sbx-2'].map(fakeMark)),
      places: {
        look: record('places.look', async ({ ticket }) => {
          if (ticket !== TICKET) throw new BrokerError('TICKET_NOT_FOUND', 'none');
          return { type: 'waiting' as const, inLine: fakePlace };
        }),
        ticketOf: record('places.ticketOf', async () => TICKET),
        leave: record('places.leave', async () => undefined),
        known: record('places.known', async () => ({ places: [], waiting: 0 })),
        list: record('places.list', async () => ({ places: [], waiting: 0, isMore: false })),
        remove: record('places.remove', async () => undefined),
      },
      markForDeletion: record('markForDeletion', async ({ sandboxId }) => fakeMark(sandboxId)),
      extendLease: record('extendLease', async () => fakeLease),
      heartbeat: record('heartbeat', async () => fakeLease),
      reportSandbox: record('reportSandbox', async ({ sandboxId }) => ({ sandboxId, repeated: false })),
      getSandbox: record('getSandbox', async () => availableSandbox),
      inspectSandbox: record('inspectSandbox', async () => ({ sandbox: availableSandbox, history: [] })),
      listSandboxes: record('listSandboxes', async () => ({ sandboxes: [availableSandbox] })),
      bulkDelete: record('bulkDelete', async () => ({ deleted: 3, skipped: 1 })),
      releaseSandbox: record('releaseSandbox', async () => availableSandbox),
      retryDeletion: record('retryDeletion', async () => availableSandbox),
      retryDeletions: record('retryDeletions', async () => MANY),
      releaseSandboxes: record('releaseSandboxes', async () => ({ ...MANY, cursor: 'the-rest' })),
      countSandboxes: record('countSandboxes', async () => ({ count: 3, asOfMs: START_MS })),
      quarantineSandbox: record('quarantineSandbox', async () => availableSandbox),
      extendForHolder: record('extendForHolder', async () => leasedSandbox),
      restoreSandbox: record('restoreSandbox', async () => availableSandbox),
      listAlerts: record('listAlerts', async () => ({ alerts: [], complete: true, stored: true })),
      listEffects: record('listEffects', async () => ({ effects: [] })),
      getEffect: record('getEffect', async (id) => ({
        id,
        type: 'csp_delete',
        entity: ['sbx-1', 'lease-1'],
        generation: 7,
        state: 'completed' as const,
        holders: 1,
        leaseUntilMs: START_MS + 60_000,
        changedAtMs: START_MS,
        untilMs: START_MS + 259_200_000,
        result: 'destroyed',
      })),
      listRememberedKeys: record('listRememberedKeys', async () => ({ keys: [] })),
      submitJob: record('submitJob', async (request) => ({ ...pendingJob, request })),
      getJob: record('getJob', async () => pendingJob),
      listJobs: record('listJobs', async () => ({ jobs: [pendingJob] })),
      poolStats: record('poolStats', async () => ({
        counts: {
          available: 5,
          allocated: 4,
          pending_deletion: 3,
          deletion_failed: 2,
          stale: 1,
          cooling: 0,
          quarantined: 0,
        },
        total: 15,
        asOfMs: START_MS + 999,
      })),
    },
    runs: {
      sync: record('sync', run({ created: 2, stale: 0 })),
      cleanup: record('cleanup', run({ deleted: 2 })),
      expire: record('expire', run({ expired: 1 })),
      purge: record('purge', run({ purged: 1 })),
    },
    breakers,
    retries: {
      report: record('retries.report', async () => ({
        attempts: { '1': 5, '2': 1, '3': 0, '4-5': 0, '6-10': 0, '11-20': 0, '21+': 0 },
        rate: { windowMs: 3_600_000, jobs: 6, retried: 1, rate: 1 / 6, isAnomalous: false },
        spike: { windowMs: 300_000, retries: 1, completedWindows: 0 },
        open: [],
        ended: [],
        shared: true,
        tasks: [],
      })),
    },
    governor: {
      take: record('governor.take', async () => ({ allowed: true as const })),
      status: record('governor.status', () =>
        RESOURCES.map((resource) => ({
          resource,
          scope: QUOTA_SCOPES[resource],
          currentActions: 1,
          maxActions: 10,
          windowSeconds: 60,
          deniedCount: 2,
          overridden: false,
        })),
      ),
      refresh: record('governor.refresh', async () => undefined),
      setLimit: record('governor.setLimit', async () => undefined),
      resetLimit: record('governor.resetLimit', async () => undefined),
    },
    watch: {
      readiness: createReadiness({
        checks: [{ name: 'store', check: () => true }],
        clock: recorded.clock,
      }),
      runtime: watchRuntime(
        async () => [],
        () => undefined,
      ),
      heartbeats: () => ({}),
      cardinality: createMetricsGuard({ mode: 'strict' }).report,
    },
    status: {
      readiness: () => undefined,
      heartbeats: () => ({}),
      governor: { status: () => [] },
      queueLength: () => 3,
      completedJobs: () => 4,
      newestAlerts: () => [],
      runbookOf: (reason: string) => `/handbook#${reason}`,
      idempotentOperations: () => 5,
      breakers,
      provider: 'simulated',
      lastSync: () => undefined,
      dryRun: { enabled: false, strict: false, blockedCount: 0 },
      replicas: () => ['replica-1'],
      poolStats: () => undefined,
      loops: () => [],
      activity: () => ({ leasesPerMinute: 0, refusalsPerMinute: 0 }),
      version: '1.2.3',
      uptimeSeconds: () => 60,
    },
    live: {
      series: createPoolSeries({ clock: recorded.clock, capacity: 10 }),
      sampleIntervalMs: 15_000,
      events: createEventHub({ name: 'fake' }),
      greeting: () => [],
    },
    consoleFiles: async () => new Map(),
    dryRun: createDryRunLock({
      actions: ACTIONS,
      clock: recorded.clock,
      redact: redaction(),
      enabled: false,
    }),
    idempotency: {
      answers: {
        begin: record('answers.begin', async (request) => ({
          type: 'begun' as const,
          undertaking: { request, attemptId: 'attempt-1' },
        })),
        renew: record('answers.renew', async () => true),
        keep: record('answers.keep', async () => true),
        forget: record('answers.forget', async () => undefined),
        find: record('answers.find', async () => undefined),
      },
      observe: record('idempotency.observe', () => undefined),
      counts: createIdempotencyCounts(),
    },
    redact: redaction(),
    readiness: record('readiness', async () => ({
      verdict: 'go' as const,
      reasons: [],
      checks: { dynamodb: 'ok' },
    })),
    tokens: { track: [TRACK_TOKEN], admin: [ADMIN_TOKEN] },
    rateLimit: { rps: 200, burst: 3000 },
    trustProxy: false,
    corsAllowedOrigins: [],
    logger: createLogger({
      level: 'debug',
      pretty: false,
      destination: { write: (line: string) => recorded.logs.push(JSON.parse(line)) },
    }),
    metrics: {
      request: record('metrics.request', () => undefined),
      allocation: record('metrics.allocation', () => undefined),
      marked: record('metrics.marked', () => undefined),
      leaseExtended: record('metrics.leaseExtended', () => undefined),
      heartbeat: record('metrics.heartbeat', () => undefined),
      reported: record('metrics.reported', () => undefined),
      rateLimited: record('metrics.rateLimited', () => undefined),
      text: record('metrics.text', async () => ({
        contentType: 'text/plain; version=0.0.4; charset=utf-8',
        body: 'broker_pool_total 15\n',
      })),
    },
    clock: recorded.clock,
    newId: () => `id-${++ids}`,
    version: '1.2.3',
    ...overrides,
  };
  return { deps, recorded };
}
