import { z } from 'zod';
import { VERDICTS } from '../domain/readiness.ts';
import { errorSchema } from './sandboxes.ts';

const timestamp = z.int().describe('Epoch seconds.');

export const healthSchema = z.object({ status: z.literal('healthy'), timestamp });

export const readySchema = z
  .object({
    status: z.literal('ready'),
    verdict: z.enum(VERDICTS).describe('degraded: serving, but limited by the reasons.'),
    reasons: z.array(z.string()),
    timestamp,
    checks: z
      .record(z.string(), z.string())
      .describe('`ok`, `degraded: <reason>`, `error: <reason>` or `shutting_down`, by name.'),
  })
  .describe('Ready; the reasons say what limits it, such as an exhausted pool.');

export const refusingSchema = readySchema
  .extend({ status: z.literal('refusing') })
  .extend(errorSchema.shape)
  .describe(
    'In service all the same: the store is away from every replica, and callers are refused with this error until it is back.',
  );

export const notReadySchema = readySchema
  .extend({ status: z.literal('not_ready') })
  .extend(errorSchema.shape)
  .describe('Not ready; the checks name what fails.');

export const aboutSchema = z.object({
  name: z.string(),
  version: z.string(),
  docs: z.string(),
  openapi: z.string(),
});
