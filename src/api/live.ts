import { z } from 'zod';
import type { SandboxEvent } from '../domain/event.ts';
import { POOL_STATUSES } from '../domain/sandbox.ts';
import type { PoolSample } from '../live/pool-series.ts';
import { eventRecord } from './sandboxes.ts';
import { seconds } from './times.ts';

/** What became of a sandbox, as the stream tells it. */
export const changeRecord = (name: string, event: SandboxEvent) => ({
  sandbox_id: event.sandboxId,
  name,
  ...eventRecord(event),
});
export type ChangeRecord = ReturnType<typeof changeRecord>;

const column = z.array(z.number().nullable());

export const seriesSchema = z
  .object({
    since: z.int().describe('The start of this process, epoch seconds: nothing is known from before.'),
    interval_seconds: z.number().describe('From one sample to the next.'),
    kept_seconds: z.number().describe('How far back it reaches at most.'),
    at: z.array(z.int()).describe('The times of the samples, epoch seconds, the oldest first.'),
    ...(Object.fromEntries(POOL_STATUSES.map((status) => [status, column])) as Record<
      (typeof POOL_STATUSES)[number],
      typeof column
    >),
    leases_per_minute: z.array(z.number()).describe('New leases by this replica.'),
    refusals_per_minute: z
      .array(z.number())
      .describe('Callers that this replica turned away without a sandbox: 409 and 5xx.'),
    p95_ms: column.describe('Of the answers to allocations by this replica; null where there was none.'),
  })
  .meta({
    id: 'PoolHistory',
    description: 'The last hours of the pool, a column for each line of a chart. null: not counted yet.',
  });

export const sessionSchema = z
  .object({
    role: z.enum(['admin', 'viewer']),
    name: z.string().describe('Which of the configured tokens it is.'),
    can_change: z.boolean().describe('false: this token only looks.'),
  })
  .meta({ id: 'Session', description: 'Whose token this is.' });

const tenths = (value: number): number => Math.round(value * 10) / 10;

/** Samples as columns, as a chart takes them. */
export function seriesColumns(samples: readonly PoolSample[]) {
  const counted = POOL_STATUSES.map(
    (status) => [status, samples.map(({ counts }) => counts?.[status] ?? null)] as const,
  );
  return {
    at: samples.map(({ atMs }) => seconds(atMs)),
    ...(Object.fromEntries(counted) as Record<(typeof POOL_STATUSES)[number], (number | null)[]>),
    leases_per_minute: samples.map(({ leasesPerMinute }) => tenths(leasesPerMinute)),
    refusals_per_minute: samples.map(({ refusalsPerMinute }) => tenths(refusalsPerMinute)),
    p95_ms: samples.map(({ p95Ms }) => (p95Ms === undefined ? null : tenths(p95Ms))),
  };
}
