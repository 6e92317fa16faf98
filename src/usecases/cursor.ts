import { createHash } from 'node:crypto';
import { z } from 'zod';
import { JOB_STATUSES, JOB_TYPES } from '../domain/job.ts';

/** A half of a surrogate pair has no place in a key: the engine answers it with a failure. */
const keyText = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((text) => text.isWellFormed());

/** So many ids leave a cursor short enough to be sent back. */
export const TOLD_AT_MOST = 8;

/** Where a page ended, and what was asked, so that a cursor of another query can be told. */
const cursorSchema = z.strictObject({
  version: z.literal(1),
  /** {@link queryMark} of what was asked. */
  query: z.string().max(64),
  bucket: z.int().nonnegative(),
  /**
   * The last sandbox that was looked at in the bucket; absent: from its start. Its name is a part of its place only among
   * those in one status.
   */
  last: z.strictObject({ id: keyText(256).min(1), name: keyText(1_024).optional() }).optional(),
  /** The sandboxes that were found without the walk, and told before it: the walk leaves them out. */
  told: z.array(keyText(256).min(1)).max(TOLD_AT_MOST).optional(),
});

const jobCursorSchema = z.strictObject({
  list: z.literal('jobs'),
  status: z.enum(JOB_STATUSES).optional(),
  type: z.enum(JOB_TYPES).optional(),
  /** The id of the last job that was looked at. */
  last: keyText(64).min(1),
});

const scanCursorSchema = z.strictObject({
  list: z.enum(['effects', 'idempotency']),
  /** {@link queryMark} of what was asked. */
  query: z.string().max(64),
  /** The item that was looked at last. */
  last: z.strictObject({ pk: keyText(2_048).min(1), sk: keyText(1_024).min(1) }),
});

export type ScanCursor = z.infer<typeof scanCursorSchema>;
export type ListCursor = z.infer<typeof cursorSchema>;
export type JobCursor = z.infer<typeof jobCursorSchema>;

const MARK_BYTES = 12;

/**
 * A short mark of a query, the same for the same values only. The values themselves would make a cursor too long to be
 * sent back: each filter may have hundreds of bytes.
 */
export const queryMark = (values: readonly (string | undefined)[]): string =>
  createHash('sha256')
    .update(JSON.stringify(values.map((value) => value ?? null)))
    .digest()
    .toString('base64url', 0, MARK_BYTES);

export const encodeCursor = (cursor: ListCursor | JobCursor | ScanCursor): string =>
  Buffer.from(JSON.stringify(cursor)).toString('base64url');

/** Undefined for a text that no `encodeCursor` made. Keys are rebuilt from its parts, so a forged one reads nothing else. */
export const decodeCursor = (text: string): ListCursor | undefined => decode(cursorSchema, text);

/** {@link decodeCursor} for a list of jobs. */
export const decodeJobCursor = (text: string): JobCursor | undefined => decode(jobCursorSchema, text);

/** {@link decodeCursor} for a walk over the whole table. */
export const decodeScanCursor = (text: string): ScanCursor | undefined => decode(scanCursorSchema, text);

function decode<Cursor>(schema: z.ZodType<Cursor>, text: string): Cursor | undefined {
  try {
    return schema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString())).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
