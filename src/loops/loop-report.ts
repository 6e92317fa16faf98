import type { RunOutcome } from '../domain/run-outcome.ts';
import type { RunCounts } from './run.ts';

/** The last that a replica knows of a loop. */
export interface LastRun {
  /** This replica's own last run; absent before its first. */
  run?: {
    outcome: Exclude<RunOutcome, 'skipped'>;
    /** Epoch milliseconds. */
    endedAtMs: number;
    durationMs: number;
    counts: RunCounts;
  };
  /** This replica's last runs, ten at most; `withFailures`: they failed, or something in them did. */
  recent: { runs: number; withFailures: number };
  /** Epoch milliseconds of a later try that found the interval served, or being served, by another replica. */
  leftToOthersAtMs?: number;
}

/** A loop as one replica sees it. */
export interface LoopReport extends LastRun {
  name: string;
  intervalMs: number;
  /** Epoch milliseconds of this replica's next try; undefined while it runs. */
  nextRunAtMs: number | undefined;
}
