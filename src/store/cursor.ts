import { z } from 'zod';
import { SANDBOX_STATUSES } from '../domain/sandbox.ts';

/** Where a page ended, and what was asked, so that a cursor of another query can be told. */
const cursorSchema = z.strictObject({
  version: z.literal(1),
  status: z.enum(SANDBOX_STATUSES).optional(),
  prefix: z.string().optional(),
  bucket: z.int().nonnegative(),
  /** The last sandbox that was looked at in the bucket; absent: from its start. */
  last: z.strictObject({ id: z.string().min(1).max(256), name: z.string().max(1_024) }).optional(),
});

export type ListCursor = z.infer<typeof cursorSchema>;

export const encodeCursor = (cursor: ListCursor): string =>
  Buffer.from(JSON.stringify(cursor)).toString('base64url');

/** Undefined for a text that no `encodeCursor` made. Keys are rebuilt from its parts, so a forged one reads nothing else. */
export function decodeCursor(text: string): ListCursor | undefined {
  try {
    const parsed = cursorSchema.safeParse(JSON.parse(Buffer.from(text, 'base64url').toString()));
    return parsed.data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
