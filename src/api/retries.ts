import { z } from 'zod';
import type { EndedWindow, OpenWindow } from '../domain/resilience/retry-window.ts';
import { RETRY_BUCKETS } from '../domain/resilience/retry-window.ts';
import type { RetriesReport } from '../safety/index.ts';
import { epochSeconds, seconds } from './times.ts';

/** Of each list; the newest are what an operator asks for. */
const MAX_SHOWN = 100;
const MAX_TASK_LENGTH = 256;

export const retriesQuery = z.strictObject({
  task: z
    .string()
    .min(1, 'must not be empty')
    .max(MAX_TASK_LENGTH, `must be at most ${MAX_TASK_LENGTH} characters`)
    .optional()
    .describe('Only tasks whose names begin so, such as csp_delete: or csp_delete:sbx-1.'),
});

const windowShape = {
  task: z.string(),
  first_attempt_at: epochSeconds('The first attempt'),
  last_attempt_at: epochSeconds('The last attempt'),
  attempts: z.int().describe('Of all replicas.'),
};

const openSchema = z
  .object(windowShape)
  .meta({ id: 'OpenRetryWindow', description: 'A task whose result is not final.' });

const endedSchema = z
  .object({
    ...windowShape,
    result: z.enum(['success', 'failed']),
    ended_at: epochSeconds('The final result'),
    window_seconds: z.number().describe('From the first attempt to the final result.'),
  })
  .meta({ id: 'RetryWindow', description: 'A task from its first attempt to its final result.' });

const taskSchema = z
  .object({
    task: z.string(),
    attempts: z.array(
      z.object({
        at: epochSeconds('When it ended'),
        attempt: z.int().describe('1, 2, … within one run.'),
        outcome: z.string().describe("`success`, or the error's kind."),
        wait_seconds: z.number().optional().describe('Before the next attempt; absent after the last.'),
      }),
    ),
  })
  .meta({ id: 'RetriedTask', description: 'The last attempts at a task on this replica.' });

export const retriesSchema = z
  .object({
    attempts: z
      .record(z.enum(RETRY_BUCKETS), z.int())
      .describe('Tasks that ended on this replica since its start, by the number of their attempts.'),
    rate: z
      .object({
        window_seconds: z.number(),
        jobs: z.int().describe('Tasks that ended in the window.'),
        retried: z.int().describe('Those that took more than one attempt.'),
        rate: z.number().describe('Their share, 0 to 1.'),
        anomalous: z.boolean().describe('More than half of more than ten.'),
      })
      .describe('Of this replica.'),
    spike: z
      .object({
        window_seconds: z.number(),
        retries: z.int().describe('In the window under way.'),
        usual: z.number().optional().describe('The mean of the completed windows.'),
        completed_windows: z.int().describe('Of these; three are needed.'),
        last_spike_at: epochSeconds('The last time there were far more than usual').optional(),
      })
      .describe('Of this replica.'),
    open: z.array(openSchema).describe('Tasks under way, the one tried last first.'),
    ended: z.array(endedSchema).describe('Tasks that are over, of all replicas, the last one first.'),
    shared: z.boolean().describe('false: the store is out of reach; the tasks are those of this replica.'),
    tasks: z.array(taskSchema).describe('The one tried last first.'),
  })
  .meta({ id: 'Retries', description: 'What is tried again, and how often.' });

const windowFields = (window: OpenWindow) => ({
  task: window.task,
  first_attempt_at: seconds(window.firstAttemptAtMs),
  last_attempt_at: seconds(window.lastAttemptAtMs),
  attempts: window.attempts,
});

const endedFields = (window: EndedWindow) => ({
  ...windowFields(window),
  result: window.result,
  ended_at: seconds(window.endedAtMs),
  window_seconds: (window.endedAtMs - window.firstAttemptAtMs) / 1000,
});

export function retriesRecord({ rate, spike, ...report }: RetriesReport): z.output<typeof retriesSchema> {
  return {
    attempts: report.attempts,
    rate: {
      window_seconds: rate.windowMs / 1000,
      jobs: rate.jobs,
      retried: rate.retried,
      rate: rate.rate,
      anomalous: rate.isAnomalous,
    },
    spike: {
      window_seconds: spike.windowMs / 1000,
      retries: spike.retries,
      ...(spike.mean !== undefined && { usual: spike.mean }),
      completed_windows: spike.completedWindows,
      ...(spike.lastSpikeAtMs !== undefined && { last_spike_at: seconds(spike.lastSpikeAtMs) }),
    },
    open: report.open
      .toSorted((a, b) => b.lastAttemptAtMs - a.lastAttemptAtMs)
      .slice(0, MAX_SHOWN)
      .map(windowFields),
    ended: report.ended.map(endedFields),
    shared: report.shared,
    tasks: report.tasks.slice(0, MAX_SHOWN).map(({ task, attempts }) => ({
      task,
      attempts: attempts.map(({ atMs, attempt, outcome, waitMs }) => ({
        at: seconds(atMs),
        attempt,
        outcome,
        ...(waitMs !== undefined && { wait_seconds: waitMs / 1000 }),
      })),
    })),
  };
}
