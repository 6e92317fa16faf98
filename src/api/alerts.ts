import { z } from 'zod';
import { ALERT_SEVERITIES, type RaisedAlert } from '../domain/resilience/alert.ts';
import type { RunbookOf } from './runbooks.ts';
import { seconds } from './times.ts';

const MAX_LIMIT = 1_000;
const DEFAULT_LIMIT = 100;
const MAX_TASK = 128;
const severity = z.enum(ALERT_SEVERITIES, { error: `must be one of ${ALERT_SEVERITIES.join(', ')}` });
const limitError = `must be a whole number from 0 to ${MAX_LIMIT}`;

export const alertsQuery = z.strictObject({
  severity: severity.optional().describe('Only alerts of this severity.'),
  min_severity: severity.optional().describe('Only alerts of this severity and above.'),
  task: z
    .string()
    .min(1, `must be 1 to ${MAX_TASK} characters`)
    .max(MAX_TASK, `must be 1 to ${MAX_TASK} characters`)
    .optional()
    .describe('Only alerts of this task, such as sync or pool.'),
  limit: z
    .preprocess(
      (value) => (typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value),
      z.number({ error: limitError }).int(limitError).min(0, limitError).max(MAX_LIMIT, limitError),
    )
    .default(DEFAULT_LIMIT)
    .meta({ description: 'Alerts at most; 0: none.', default: DEFAULT_LIMIT }),
});

export const alertSchema = z
  .object({
    id: z.string(),
    timestamp: z.int().describe('When it was raised, epoch seconds.'),
    task: z.string().describe('What noticed it.'),
    reason: z.string().describe('What it is; a stable word.'),
    severity: z.enum(ALERT_SEVERITIES),
    context: z
      .record(z.string(), z.unknown())
      .describe('More about it; correlation_id and request_id of the request or run that noticed it.'),
    replica: z.string().describe('The replica that raised it.'),
    runbook: z
      .string()
      .describe('Where it says what to do: an address, or a path of this broker that needs no token.'),
  })
  .meta({ id: 'Alert', description: 'Something an operator should know.' });

export const alertsSchema = z
  .object({
    alerts: z.array(alertSchema),
    count: z.int().describe('Alerts in this answer.'),
    complete: z.boolean().describe('false: there may be more that are meant; the search was ended early.'),
    source: z
      .enum(['all_replicas', 'this_replica'])
      .describe('this_replica: the store does not answer, and these are what this replica raised itself.'),
  })
  .meta({ id: 'Alerts', description: 'The alerts of the last seven days, the newest first.' });

export const alertRecord = (
  { atMs, ...alert }: RaisedAlert,
  runbookOf: RunbookOf,
): z.output<typeof alertSchema> => ({
  ...alert,
  timestamp: seconds(atMs),
  runbook: runbookOf(alert.reason),
});
