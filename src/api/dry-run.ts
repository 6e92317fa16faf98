import { z } from 'zod';
import { ACTIONS, type Action } from '../domain/resilience/action.ts';
import { DRY_RUN_STATUSES } from '../safety/index.ts';

const ACTION_NAMES = Object.keys(ACTIONS) as Action[];

export const logQuery = z.strictObject({
  action: z
    .enum(ACTION_NAMES, { error: `must be one of ${ACTION_NAMES.join(', ')}` })
    .optional()
    .describe('Only entries of this action.'),
});

const entrySchema = z
  .object({
    timestamp: z.int().describe('When it was asked for, epoch seconds.'),
    action: z.enum(ACTION_NAMES),
    status: z.enum(DRY_RUN_STATUSES),
    args: z.record(z.string(), z.unknown()).describe('What it was asked for with; secrets are masked.'),
  })
  .meta({ id: 'DryRunEntry', description: 'Something that cannot be undone, and what became of it.' });

export const logSchema = z
  .object({
    dry_run: z.boolean().describe('Whether such actions are held back at the moment.'),
    strict: z.boolean().describe('Whether operators are refused with DRY_RUN_LOCKED.'),
    entries: z.array(entrySchema),
    count: z.int(),
  })
  .meta({ id: 'DryRunLog', description: 'The last 1,000 on this replica, the oldest first.' });
