// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** How many there are. */
export interface SandboxCount {
  /** Sandboxes that the list would give over all its pages. */
  count: number;
  /** When the count began, epoch seconds. */
  as_of: number;
}

/** What became of the failed deletions. */
export interface RetriedDeletions {
  status: 'completed';
  /** Those that were meant. */
  found: number;
  /** Changed meanwhile, or a cleaner is at work on them. */
  skipped: number;
  /** Could not be changed: ask again. */
  failed: number;
  /** Which could not be changed; the first hundred. */
  failed_sandboxes: string[];
  /** Where the rest begins; absent when all are done. */
  cursor?: string | undefined;
  duration_ms: number;
  /** Due at once now, with a fresh set of attempts. */
  retried: number;
  /** Which were retried; the first hundred. */
  retried_sandboxes: string[];
}

/** What became of the leases. */
export interface ReleasedSandboxes {
  status: 'completed';
  /** Those that were meant. */
  found: number;
  /** Changed meanwhile, or a cleaner is at work on them. */
  skipped: number;
  /** Could not be changed: ask again. */
  failed: number;
  /** Which could not be changed; the first hundred. */
  failed_sandboxes: string[];
  /** Where the rest begins; absent when all are done. */
  cursor?: string | undefined;
  duration_ms: number;
  /** Whose lease is over now; the next cleanup deletes them. */
  released: number;
  /** Which were released; the first hundred. */
  released_sandboxes: string[];
}
