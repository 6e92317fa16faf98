import { z } from 'zod';
import { RESOURCES, type Resource } from '../domain/resilience/action.ts';
import { type GovernorRow, MAX_WINDOW_SECONDS } from '../safety/index.ts';

const MAX_ACTIONS = 1_000_000_000;
const actionsAllowed = `null or a whole number from 0 to ${MAX_ACTIONS}`;
const windowAllowed = `a whole number from 1 to ${MAX_WINDOW_SECONDS}`;

export const resourceParams = z.object({
  resource: z.enum(RESOURCES, { error: `must be one of ${RESOURCES.join(', ')}` }),
});

const whole = (max: number, min: number, error: string) =>
  z.number({ error }).int(error).min(min, error).max(max, error);

export const limitBody = z.preprocess(
  (body) => body ?? {},
  z.strictObject({
    max_actions: whole(MAX_ACTIONS, 0, `is needed, and must be ${actionsAllowed}`)
      .nullable()
      .describe('Uses in any window; null: no limit.'),
    window_seconds: whole(MAX_WINDOW_SECONDS, 1, `must be ${windowAllowed}`)
      .optional()
      .describe('Length of the window; without it the window stays as it is.'),
  }),
);

export const quotaSchema = z
  .object({
    resource: z.enum(RESOURCES),
    scope: z
      .enum(['local', 'global'])
      .describe('global: counted over all replicas; local: each counts for itself.'),
    current_actions: z
      .int()
      .describe('Uses in the window, a few seconds old where global. Of api_call: of the busiest caller.'),
    max_actions: z.int().nullable().describe('null: no limit.'),
    window_seconds: z.int(),
    denied_count: z.int().describe('Refusals by this replica since its start.'),
    overridden: z.boolean().describe('Set at run time, instead of what this replica was configured with.'),
  })
  .meta({ id: 'Quota', description: 'How often something may be done, and how often it was.' });

export const quotasSchema = z
  .object({ resources: z.array(quotaSchema) })
  .meta({ id: 'Quotas', description: 'All quotas.' });

export const quotaRecord = (row: GovernorRow<Resource>): z.output<typeof quotaSchema> => ({
  resource: row.resource,
  scope: row.scope,
  current_actions: row.currentActions,
  max_actions: row.maxActions,
  window_seconds: row.windowSeconds,
  denied_count: row.deniedCount,
  overridden: row.overridden,
});
