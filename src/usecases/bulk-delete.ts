import type { CallContext } from './context.ts';

/** Removes the records (not the sandboxes) in one status, never a leased one. */
export type BulkDelete = (
  input: { status: 'stale' | 'deletion_failed' },
  context: CallContext,
) => Promise<{ deleted: number; skipped: number }>;
