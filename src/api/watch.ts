import { z } from 'zod';
import { READINESS_STATES, VERDICTS } from '../domain/readiness.ts';
import { CHECK_STATUSES, type RuntimeCheck, worstStatus } from '../domain/runtime-check.ts';
import type { HeartbeatReport, MetricsGuardReport, ReadinessReport } from '../safety/index.ts';
import { seconds } from './times.ts';

export const readinessSchema = z
  .object({
    verdict: z
      .enum(VERDICTS)
      .describe('go: every check is ok; degraded: serving, but for the reasons; no_go: not serving.'),
    reasons: z.array(z.string()).describe('Why it is not GO, what is failing first.'),
    is_ready: z.boolean().describe('It serves: the verdict is go, or degraded.'),
    last_check: z.int().describe('Epoch seconds.'),
    total_checks: z.int(),
    passed_checks: z.int(),
    failed_checks: z.int(),
    checks: z.record(
      z.string(),
      z.object({
        status: z
          .enum(READINESS_STATES)
          .describe(
            'degraded: tracks are served all the same; failing: they are not, and this replica leaves the service, unless the store is away from all of them.',
          ),
        detail: z.string().optional(),
      }),
    ),
  })
  .meta({ id: 'Readiness', description: 'GO, serving with a but, or NO-GO, and why.' });

export const readinessRecord = (report: ReadinessReport): z.output<typeof readinessSchema> => ({
  verdict: report.verdict,
  reasons: report.reasons,
  is_ready: report.verdict !== 'no_go',
  last_check: seconds(report.lastCheckMs),
  total_checks: report.totalChecks,
  passed_checks: report.passedChecks,
  failed_checks: report.failedChecks,
  checks: Object.fromEntries(
    Object.entries(report.checks).map(([name, finding]) => [
      name,
      { status: finding.state, ...('detail' in finding && { detail: finding.detail }) },
    ]),
  ),
});

export const heartbeatsSchema = z
  .record(
    z.string(),
    z.object({
      is_running: z.boolean(),
      is_healthy: z.boolean().describe('Running, and heard of within SANDBOX_HEARTBEAT_TIMEOUT.'),
      last_heartbeat: z.int().nullable().describe('Epoch seconds; null before the first.'),
      seconds_since_heartbeat: z.number().nullable(),
      total_checks: z.int().describe('How often it was looked at.'),
    }),
  )
  .meta({ id: 'Heartbeats', description: 'The signs of life of the loops and the worker, by name.' });

export const heartbeatRecords = (
  reports: Readonly<Record<string, HeartbeatReport>>,
): z.output<typeof heartbeatsSchema> =>
  Object.fromEntries(
    Object.entries(reports).map(([name, report]) => [
      name,
      {
        is_running: report.isRunning,
        is_healthy: report.isHealthy,
        last_heartbeat: report.lastHeartbeatMs === undefined ? null : seconds(report.lastHeartbeatMs),
        seconds_since_heartbeat: report.secondsSinceHeartbeat ?? null,
        total_checks: report.totalChecks,
      },
    ]),
  );

export const runtimeSchema = z
  .object({
    status: z.enum(CHECK_STATUSES).describe('The worst of the checks.'),
    checks: z.array(
      z.object({
        name: z.string(),
        status: z.enum(CHECK_STATUSES),
        message: z.string().describe('What is so and, where it should not be, how to mend it.'),
        details: z.record(z.string(), z.unknown()),
      }),
    ),
  })
  .meta({ id: 'Runtime', description: 'What the promises rest on in the store, as it was found just now.' });

export const runtimeRecord = (checks: RuntimeCheck[]): z.output<typeof runtimeSchema> => ({
  status: worstStatus(checks),
  checks,
});

export const metricsGuardSchema = z
  .object({
    mode: z.enum(['strict', 'warn']).describe('strict: a metric with an identifier as a label is refused.'),
    max_values: z.int().describe('Values a label may have; new ones beyond are counted as "other".'),
    violations: z.record(z.string(), z.int()).describe('By metric.'),
    labels: z.array(
      z.object({
        metric: z.string(),
        label: z.string(),
        values: z.int(),
        capped: z.int().describe('Counted as "other".'),
      }),
    ),
  })
  .meta({ id: 'MetricsGuard', description: 'The labels of the metrics and how many values each has.' });

export const metricsGuardRecord = (report: MetricsGuardReport): z.output<typeof metricsGuardSchema> => ({
  mode: report.mode,
  max_values: report.maxValues,
  violations: report.violations,
  labels: report.labels,
});
