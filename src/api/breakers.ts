import { z } from 'zod';
import { BREAKER_STATES, TRIP_REASONS } from '../domain/resilience/breaker.ts';
import type { BreakerReport } from '../safety/index.ts';
import { BREAKERS, type BreakerName } from '../telemetry/metric-labels.ts';
import { epochSeconds, seconds } from './times.ts';

const MAX_OVERRIDE_SECONDS = 86_400;
const FORCED = ['open', 'closed'] as const;
const durationAllowed = `is needed, and must be a whole number from 1 to ${MAX_OVERRIDE_SECONDS}`;

export const breakerParams = z.object({
  name: z.enum(BREAKERS, { error: `must be one of ${BREAKERS.join(', ')}` }),
});

export const overrideBody = z.preprocess(
  (body) => body ?? {},
  z.strictObject({
    state: z
      .enum(FORCED, { error: `is needed, and must be one of ${FORCED.join(', ')}` })
      .describe('open: no call is made. closed: every call is made, whatever fails.'),
    duration_seconds: z
      .number({ error: durationAllowed })
      .int(durationAllowed)
      .min(1, durationAllowed)
      .max(MAX_OVERRIDE_SECONDS, durationAllowed)
      .describe('How long; then the breaker is again what it was.'),
  }),
);

export const breakerSchema = z
  .object({
    name: z.enum(BREAKERS).describe('Whose calls it guards.'),
    state: z
      .enum(BREAKER_STATES)
      .describe('What decides about calls at the moment: none is made while open, one while half_open.'),
    since: epochSeconds('Since when the calls themselves have had it where it is'),
    failures: z.int().describe('Failed calls that count at the moment.'),
    threshold: z.int().describe('With so many it opens.'),
    why: z.enum(TRIP_REASONS).optional().describe('Why its calls are suspended.'),
    last_failure_at: epochSeconds('The last failed call that counted').optional(),
    retry_at: epochSeconds('When one call may probe').optional(),
    override: z
      .object({ state: z.enum(FORCED), until: epochSeconds('Its end') })
      .optional()
      .describe("An operator's word."),
    shared: z.boolean().describe('false: the store is out of reach, and this replica decides by itself.'),
  })
  .meta({ id: 'Breaker', description: 'A circuit breaker.' });

export const breakersSchema = z
  .object({ breakers: z.array(breakerSchema) })
  .meta({ id: 'Breakers', description: 'All circuit breakers.' });

export function breakerRecord(name: BreakerName, report: BreakerReport): z.output<typeof breakerSchema> {
  const { why, lastFailureAtMs, retryAtMs, override } = report;
  return {
    name,
    state: report.state,
    since: seconds(report.sinceMs),
    failures: report.failures,
    threshold: report.threshold,
    ...(why !== undefined && { why }),
    ...(lastFailureAtMs !== undefined && { last_failure_at: seconds(lastFailureAtMs) }),
    // Not before that second.
    ...(retryAtMs !== undefined && { retry_at: Math.ceil(retryAtMs / 1000) }),
    ...(override && { override: { state: override.state, until: seconds(override.untilMs) } }),
    shared: report.shared,
  };
}
