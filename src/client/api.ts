import type { SandboxStatus } from '../domain/sandbox.ts';

/*
 * The API's answers as a caller sees them. They are written down without zod, which a browser need not load; the test
 * of the types holds each against the schema that the server answers with.
 */

/** What a holder gets. Times are epoch seconds. */
export interface Lease {
  sandbox_id: string;
  name: string;
  external_id: string;
  /** Differs for every lease, also of one sandbox to one holder. */
  lease_id: string;
  /** Higher with every lease of a sandbox. Only a lease from before an upgrade of the broker has none. */
  fencing_token?: number | undefined;
  allocated_at: number;
  expires_at: number;
  /** How often the holder is to give a sign of life. */
  heartbeat_seconds?: number | undefined;
  /** Only of a lease with a heartbeat: when the next one is to come by. */
  heartbeat_by?: number | undefined;
  sfdc_account_id?: string | undefined;
  /** Only of an idempotency key whose lease is over: the sandbox is not the holder's any more. */
  lease_over?: true | undefined;
}

/** A place in the line. */
export interface InLine {
  status: 'waiting';
  ticket_id: string;
  /** 1 is the head. */
  position: number;
  /** How many wait, this one included. */
  waiting: number;
  /** When its turn is expected, seconds from now; null: nobody knows. */
  eta_seconds: number | null;
}

/** A sandbox that was given back. */
export interface Marked {
  sandbox_id: string;
  status: SandboxStatus;
  /** Epoch seconds of the first mark. */
  deletion_requested_at: number;
}

/** A sandbox that was reported as broken, and what its holder got instead. */
export interface Reported {
  sandbox_id: string;
  status: 'quarantined';
  /** The sandbox that the lease's key has instead. */
  replacement?: Lease | undefined;
  /** The place that it has instead: nothing was free. */
  place?: InLine | undefined;
}

/** A sandbox. What makes no sense in its status is not there. Times are epoch seconds. */
export interface SandboxRecord {
  sandbox_id: string;
  name: string;
  external_id: string;
  status: SandboxStatus;
  sfdc_account_id?: string | undefined;
  /** Differs for every lease, also of one sandbox to one holder. */
  lease_id?: string | undefined;
  /** Higher with every lease of this sandbox. */
  fencing_token?: number | undefined;
  /** The holder. */
  allocated_to_track?: string | undefined;
  /** The lab the holder runs. */
  track_name?: string | undefined;
  allocated_at?: number | undefined;
  expires_at?: number | undefined;
  /** How often the holder is to give a sign of life. */
  heartbeat_seconds?: number | undefined;
  /** When the next one is to come by. */
  heartbeat_by?: number | undefined;
  /** When the broker takes it back. */
  reclaim_at?: number | undefined;
  deletion_requested_at?: number | undefined;
  deletion_retry_count?: number | undefined;
  deletion_error?: string | undefined;
  deletion_due_at?: number | undefined;
  stale_since?: number | undefined;
  /** Why it is kept out of the pool; of a leased one: as soon as its lease is over. */
  quarantine_reason?: string | undefined;
  quarantined_at?: number | undefined;
  missing_since?: number | undefined;
  deleted_at?: number | undefined;
  deletion_reason?: 'destroyed' | 'already_gone' | 'purged' | undefined;
  created_at: number;
  updated_at: number;
}
