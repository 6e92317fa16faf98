import type { CallContext } from '../usecases/context.ts';

/** What a run did, as flat counts: they go into the log line, the metrics and the admin answer alike. */
export type RunCounts = Record<string, number>;

/** How far a run has come, where it knows. */
export interface RunProgress {
  done: number;
  total: number;
}

/** Told of every step of a run. */
export type OnProgress = (progress?: RunProgress) => void;

/** A run that has ended. `aborted`: it was told to stop, and the counts are of what it had done by then. */
export interface EndedRun {
  counts: RunCounts;
  durationMs: number;
  aborted?: true;
}

/**
 * Runs a loop's work now, through the same path as the loop itself. Throws `ALREADY_RUNNING` (with `retryAfterSeconds`)
 * while a run is under way on any replica, `PROVIDER_UNAVAILABLE`, `STORE_UNAVAILABLE`, and `SHUTTING_DOWN` where the
 * shutdown ended it before it could say what it had done. `onProgress` is told of every step.
 */
export type RunNow<Options> = (
  options: Options,
  context: CallContext,
  onProgress?: OnProgress,
) => Promise<EndedRun>;

export interface SyncOptions {
  /** Mark as many stale as are missing, past `SYNC_MAX_STALE_RATIO`. */
  force: boolean;
}
export interface PurgeOptions {
  /** How long a sandbox must have been stale, hours, >= 0. */
  gracePeriodHours: number;
}

/** The loops' work, to be run at once. */
export interface Runs {
  sync: RunNow<SyncOptions>;
  cleanup: RunNow<Record<never, never>>;
  expire: RunNow<Record<never, never>>;
  purge: RunNow<PurgeOptions>;
}
