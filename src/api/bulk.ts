import { z } from 'zod';
import { decimal, listQuery } from './requests.ts';

/** What a bulk order means: the list's own filters, so that one is what the other shows. */
const filters = listQuery.omit({ status: true, limit: true });

const MAX_AT_ONCE = 500;
const chunk = {
  limit: decimal(
    (error) => z.number({ error }).int(error).min(1, error).max(MAX_AT_ONCE, error),
    `a whole number from 1 to ${MAX_AT_ONCE}`,
  )
    .optional()
    .describe(
      'So many at once, and a `cursor` for the rest: how far it is can be shown. Without it: all of them.',
    ),
};

export const retryDeletionsQuery = filters.extend(chunk);

const NARROWING = ['prefix', 'holder', 'holder_prefix', 'find', 'lab'] as const;
const allFlag = z.literal('true', { error: 'must be true, or left out' });

export const bulkReleaseQuery = filters
  .extend({
    ...chunk,
    all: allFlag.optional().describe('Every lease there is; needed where nothing narrows them down.'),
    leased_before: decimal((error) => z.number({ error }).int(error), 'epoch seconds, a whole number')
      .optional()
      .describe(
        'Only leases that began by then, epoch seconds, such as `as_of` of a count: who came since is left alone.',
      ),
  })
  .refine((query) => query.all !== undefined || NARROWING.some((name) => query[name] !== undefined), {
    path: ['all'],
    error: `is needed (true) to release every lease there is; else one of ${NARROWING.join(', ')}`,
  });

export const countQuery = listQuery.omit({ limit: true, cursor: true });

export const countSchema = z
  .object({
    count: z.int().describe('Sandboxes that the list would give over all its pages.'),
    as_of: z.int().describe('When the count began, epoch seconds.'),
  })
  .meta({ id: 'SandboxCount', description: 'How many there are.' });

const manyShape = {
  status: z.literal('completed'),
  found: z.int().describe('Those that were meant.'),
  skipped: z.int().describe('Changed meanwhile, or a cleaner is at work on them.'),
  failed: z.int().describe('Could not be changed: ask again.'),
  failed_sandboxes: z.array(z.string()).describe('Which could not be changed; the first hundred.'),
  cursor: z.string().optional().describe('Where the rest begins; absent when all are done.'),
  duration_ms: z.number(),
};

export const retryDeletionsSchema = z
  .object({
    ...manyShape,
    retried: z.int().describe('Due at once now, with a fresh set of attempts.'),
    retried_sandboxes: z.array(z.string()).describe('Which were retried; the first hundred.'),
  })
  .meta({ id: 'RetriedDeletions', description: 'What became of the failed deletions.' });

export const bulkReleaseSchema = z
  .object({
    ...manyShape,
    released: z.int().describe('Whose lease is over now; the next cleanup deletes them.'),
    released_sandboxes: z.array(z.string()).describe('Which were released; the first hundred.'),
  })
  .meta({ id: 'ReleasedSandboxes', description: 'What became of the leases.' });
