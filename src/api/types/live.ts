// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** The last hours of the pool, a column for each line of a chart. null: not counted yet. */
export interface PoolHistory {
  /** The start of this process, epoch seconds: nothing is known from before. */
  since: number;
  /** From one sample to the next. */
  interval_seconds: number;
  /** How far back it reaches at most. */
  kept_seconds: number;
  /** The times of the samples, epoch seconds, the oldest first. */
  at: number[];
  available: (number | null)[];
  allocated: (number | null)[];
  pending_deletion: (number | null)[];
  deletion_failed: (number | null)[];
  stale: (number | null)[];
  cooling: (number | null)[];
  quarantined: (number | null)[];
  /** New leases by this replica. */
  leases_per_minute: number[];
  /** Callers that this replica turned away without a sandbox: 409 and 5xx. */
  refusals_per_minute: number[];
  /** Of the answers to allocations by this replica; null where there was none. */
  p95_ms: (number | null)[];
}

/** Whose token this is. */
export interface Session {
  role: 'admin' | 'viewer';
  /** Which of the configured tokens it is. */
  name: string;
  /** false: this token only looks. */
  can_change: boolean;
}
