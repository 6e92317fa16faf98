// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

import type { Alert } from './alerts.ts';
import type { Breaker } from './breakers.ts';
import type { Quota } from './quotas.ts';
import type { Heartbeats, Readiness } from './watch.ts';

/** A loop as one replica knows it. */
export interface Loop {
  name: string;
  interval_seconds: number;
  /** null before the first run of this replica. */
  last_run: {
    /** partial: something in it failed. refused: the listing lacked too much to be believed. */
    outcome: 'success' | 'partial' | 'refused' | 'error' | 'aborted';
    /** Epoch seconds. */
    ended_at: number;
    duration_ms: number;
    counts: Record<string, number>;
  } | null;
  /** This replica's last ten: how many failed, or had something in them that did. */
  recent_runs: {
    runs: number;
    with_failures: number;
  };
  /** A later try that found the interval served by another living replica, epoch seconds. */
  left_to_others_at: number | null;
  /** This replica's next try, epoch seconds; null while it runs. */
  next_run_at: number | null;
}

/** Everything an operator asks first. */
export interface Status {
  /** As of the last look; null before the first. */
  readiness: Readiness | null;
  heartbeat: Heartbeats;
  governor: Quota[];
  /** Jobs that wait, of all replicas. */
  worker_queue_length: number;
  /** Jobs completed by all replicas, ever. */
  completed_jobs: number;
  /** The newest of this replica, the newest first. */
  alerts: Alert[];
  /** Operators' keyed requests carried out by this replica. */
  idempotent_operations: number;
  breakers: Breaker[];
  /** Where the sandboxes come from. */
  provider: {
    kind: 'csp' | 'simulated';
    /** The last one of any replica; null before the first. */
    last_sync: {
      /** Epoch seconds. */
      ended_at: number;
      /** Sandboxes the provider listed. */
      listed?: number | undefined;
      /** Why it failed, or was not believed. */
      error?: string | undefined;
    } | null;
  };
  dry_run: {
    enabled: boolean;
    strict: boolean;
    /** Actions blocked by this replica since its start. */
    blocked: number;
  };
  /** The living ones, as of the last beat. */
  replicas: string[];
  /** null before the first count. */
  pool: {
    available: number;
    allocated: number;
    pending_deletion: number;
    deletion_failed: number;
    stale: number;
    cooling: number;
    quarantined: number;
    total: number;
    /** Epoch seconds. */
    as_of: number;
  } | null;
  /** As this replica knows them: of several replicas one runs a loop in each interval. */
  loops: Loop[];
  /** This replica's allocations of the last five minutes. */
  activity: {
    leases_per_minute: number;
    /** Callers turned away without a sandbox: 409 and 5xx. */
    refusals_per_minute: number;
    /** Of the answers to allocations; null when there was none. */
    p95_ms: number | null;
  };
  version: string;
  /** Seconds since the start of this process. */
  uptime: number;
}
