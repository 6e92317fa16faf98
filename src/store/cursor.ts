import { z } from 'zod';
import { JOB_STATUSES, JOB_TYPES } from '../domain/job.ts';
import { SANDBOX_STATUSES } from '../domain/sandbox.ts';

/** Where a page ended, and what was asked, so that a cursor of another query can be told. */
const cursorSchema = z.strictObject({
  version: z.literal(1),
  status: z.enum(SANDBOX_STATUSES).optional(),
  prefix: z.string().optional(),
  holder: z.string().optional(),
  lab: z.string().optional(),
  bucket: z.int().nonnegative(),
  /** The last sandbox that was looked at in the bucket; absent: from its start. */
  last: z.strictObject({ id: z.string().min(1).max(256), name: z.string().max(1_024) }).optional(),
});

const jobCursorSchema = z.strictObject({
  list: z.literal('jobs'),
  status: z.enum(JOB_STATUSES).optional(),
  type: z.enum(JOB_TYPES).optional(),
  /** The id of the last job that was looked at. */
  last: z.string().min(1).max(64),
});

export type ListCursor = z.infer<typeof cursorSchema>;
export type JobCursor = z.infer<typeof jobCursorSchema>;

export const encodeCursor = (cursor: ListCursor | JobCursor): string =>
  Buffer.from(JSON.stringify(cursor)).toString('base64url');

/** Undefined for a text that no `encodeCursor` made. Keys are rebuilt from its parts, so a forged one reads nothing else. */
export const decodeCursor = (text: string): ListCursor | undefined => decode(cursorSchema, text);

/** {@link decodeCursor} for a list of jobs. */
export const decodeJobCursor = (text: string): JobCursor | undefined => decode(jobCursorSchema, text);

function decode<Cursor>(schema: z.ZodType<Cursor>, text: string): Cursor | undefined {
  try {
    return schema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString())).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
