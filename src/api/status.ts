import { z } from 'zod';
import type { Resource } from '../domain/resilience/action.ts';
import type { RaisedAlert } from '../domain/resilience/alert.ts';
import { RUN_OUTCOMES } from '../domain/run-outcome.ts';
import { POOL_STATUSES } from '../domain/sandbox.ts';
import type { PoolSeries } from '../live/pool-series.ts';
import type { LoopReport } from '../loops/loop-report.ts';
import type { Breaker, DryRunLock, Governor, HeartbeatReport, ReadinessReport } from '../safety/index.ts';
import { BREAKERS, type BreakerName } from '../telemetry/metric-labels.ts';
import type { PoolStats } from '../usecases/inventory/pool-stats.ts';
import type { Stocking } from '../usecases/inventory/stocking.ts';
import { alertRecord, alertSchema } from './alerts.ts';
import { breakerRecord, breakerSchema } from './breakers.ts';
import { quotaRecord, quotaSchema } from './quotas.ts';
import type { RunbookOf } from './runbooks.ts';
import { seconds } from './times.ts';
import { heartbeatRecords, heartbeatsSchema, readinessRecord, readinessSchema } from './watch.ts';

const NEWEST_ALERTS = 10;

const loopSchema = z
  .object({
    name: z.string(),
    interval_seconds: z.number(),
    last_run: z
      .object({
        outcome: z
          .enum(RUN_OUTCOMES)
          .exclude(['skipped'])
          .describe('partial: something in it failed. refused: the listing lacked too much to be believed.'),
        ended_at: z.number().describe('Epoch seconds.'),
        duration_ms: z.number(),
        counts: z.record(z.string(), z.number()),
      })
      .nullable()
      .describe('null before the first run of this replica.'),
    recent_runs: z
      .object({ runs: z.int(), with_failures: z.int() })
      .describe("This replica's last ten: how many failed, or had something in them that did."),
    left_to_others_at: z
      .number()
      .nullable()
      .describe('A later try that found the interval served by another living replica, epoch seconds.'),
    next_run_at: z
      .number()
      .nullable()
      .describe("This replica's next try, epoch seconds; null while it runs."),
  })
  .meta({ id: 'Loop', description: 'A loop as one replica knows it.' });

export const statusSchema = z
  .object({
    readiness: readinessSchema.nullable().describe('As of the last look; null before the first.'),
    heartbeat: heartbeatsSchema,
    governor: z.array(quotaSchema),
    worker_queue_length: z.int().describe('Jobs that wait, of all replicas.'),
    completed_jobs: z.int().describe('Jobs completed by all replicas, ever.'),
    alerts: z.array(alertSchema).describe('The newest of this replica, the newest first.'),
    idempotent_operations: z.int().describe("Operators' keyed requests carried out by this replica."),
    breakers: z.array(breakerSchema),
    provider: z
      .object({
        kind: z.enum(['csp', 'simulated']),
        last_sync: z
          .object({
            ended_at: z.int().describe('Epoch seconds.'),
            listed: z.int().optional().describe('Sandboxes the provider listed.'),
            error: z.string().optional().describe('Why it failed, or was not believed.'),
          })
          .nullable()
          .describe('The last one of any replica; null before the first.'),
      })
      .describe('Where the sandboxes come from.'),
    dry_run: z.object({
      enabled: z.boolean(),
      strict: z.boolean(),
      blocked: z.int().describe('Actions blocked by this replica since its start.'),
    }),
    replicas: z.array(z.string()).describe('The living ones, as of the last beat.'),
    pool: z
      .object({
        ...(Object.fromEntries(POOL_STATUSES.map((status) => [status, z.int()])) as Record<
          (typeof POOL_STATUSES)[number],
          z.ZodInt
        >),
        total: z.int(),
        as_of: z.int().describe('Epoch seconds.'),
      })
      .nullable()
      .describe('null before the first count.'),
    loops: z
      .array(loopSchema)
      .describe('As this replica knows them: of several replicas one runs a loop in each interval.'),
    activity: z
      .object({
        leases_per_minute: z.number(),
        refusals_per_minute: z.number().describe('Callers turned away without a sandbox: 409 and 5xx.'),
        p95_ms: z.number().nullable().describe('Of the answers to allocations; null when there was none.'),
      })
      .describe("This replica's allocations of the last five minutes."),
    version: z.string(),
    uptime: z.int().describe('Seconds since the start of this process.'),
  })
  .meta({ id: 'Status', description: 'Everything an operator asks first.' });

/** What the status is read from. All from memory: the page answers when nothing else does. */
export interface StatusSources {
  readiness: () => ReadinessReport | undefined;
  heartbeats: () => Readonly<Record<string, HeartbeatReport>>;
  governor: Pick<Governor<Resource>, 'status'>;
  queueLength: () => number;
  completedJobs: () => number;
  newestAlerts: (limit: number) => RaisedAlert[];
  runbookOf: RunbookOf;
  idempotentOperations: () => number;
  breakers: Readonly<Record<BreakerName, Pick<Breaker, 'report'>>>;
  provider: 'csp' | 'simulated';
  lastSync: Stocking['lastSync'];
  dryRun: Pick<DryRunLock, 'enabled' | 'strict' | 'blockedCount'>;
  replicas: () => readonly string[];
  poolStats: PoolStats;
  loops: () => readonly LoopReport[];
  activity: PoolSeries['recent'];
  version: string;
  uptimeSeconds: () => number;
}

const loopRecord = ({ name, intervalMs, run, recent, leftToOthersAtMs, nextRunAtMs }: LoopReport) => ({
  name,
  interval_seconds: intervalMs / 1000,
  last_run: run
    ? {
        outcome: run.outcome,
        ended_at: seconds(run.endedAtMs),
        duration_ms: run.durationMs,
        counts: run.counts,
      }
    : null,
  recent_runs: { runs: recent.runs, with_failures: recent.withFailures },
  left_to_others_at: leftToOthersAtMs === undefined ? null : seconds(leftToOthersAtMs),
  next_run_at: nextRunAtMs === undefined ? null : seconds(nextRunAtMs),
});

/** Everything at a glance, as of now. */
export function statusRecord(status: StatusSources): z.output<typeof statusSchema> {
  const readiness = status.readiness();
  const pool = status.poolStats();
  const { enabled, strict, blockedCount } = status.dryRun;
  const { leasesPerMinute, refusalsPerMinute, p95Ms } = status.activity();
  const lastSync = status.lastSync();
  return {
    readiness: readiness ? readinessRecord(readiness) : null,
    heartbeat: heartbeatRecords(status.heartbeats()),
    governor: status.governor.status().map(quotaRecord),
    worker_queue_length: status.queueLength(),
    completed_jobs: status.completedJobs(),
    alerts: status.newestAlerts(NEWEST_ALERTS).map((alert) => alertRecord(alert, status.runbookOf)),
    idempotent_operations: status.idempotentOperations(),
    breakers: BREAKERS.map((name) => breakerRecord(name, status.breakers[name].report())),
    provider: {
      kind: status.provider,
      last_sync: lastSync
        ? { ended_at: seconds(lastSync.endedAtMs), listed: lastSync.listed, error: lastSync.error }
        : null,
    },
    dry_run: { enabled, strict, blocked: blockedCount },
    replicas: [...status.replicas()],
    pool: pool ? { ...pool.counts, total: pool.total, as_of: seconds(pool.asOfMs) } : null,
    loops: status.loops().map(loopRecord),
    activity: {
      leases_per_minute: leasesPerMinute,
      refusals_per_minute: refusalsPerMinute,
      p95_ms: p95Ms ?? null,
    },
    version: status.version,
    uptime: status.uptimeSeconds(),
  };
}
