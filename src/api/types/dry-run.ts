// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** Something that cannot be undone, and what became of it. */
export interface DryRunEntry {
  /** When it was asked for, epoch seconds. */
  timestamp: number;
  action: 'csp_delete' | 'row_purge' | 'bulk_delete' | 'stale_purge' | 'external_call';
  status: 'dry_run_blocked' | 'executed' | 'error';
  /** What it was asked for with; secrets are masked. */
  args: Record<string, unknown>;
}

/** The last 1,000 on this replica, the oldest first. */
export interface DryRunLog {
  /** Whether such actions are held back at the moment. */
  dry_run: boolean;
  /** Whether operators are refused with DRY_RUN_LOCKED. */
  strict: boolean;
  entries: DryRunEntry[];
  count: number;
}
