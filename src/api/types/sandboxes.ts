// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** The form of every error. */
export interface ErrorAnswer {
  error: {
    /** Stable; decide by it, not by the message. */
    code:
      | 'INVALID_REQUEST'
      | 'INVALID_CURSOR'
      | 'UNAUTHORIZED'
      | 'FORBIDDEN'
      | 'DRY_RUN_LOCKED'
      | 'NOT_SANDBOX_OWNER'
      | 'NOT_FOUND'
      | 'SANDBOX_NOT_FOUND'
      | 'JOB_NOT_FOUND'
      | 'EFFECT_NOT_FOUND'
      | 'TICKET_NOT_FOUND'
      | 'METHOD_NOT_ALLOWED'
      | 'NO_SANDBOXES_AVAILABLE'
      | 'LINE_FULL'
      | 'PLACE_LOST'
      | 'INVALID_STATE'
      | 'LEASE_OVER'
      | 'OTHERS_WAIT'
      | 'ALREADY_RUNNING'
      | 'SYNC_REFUSED'
      | 'EFFECT_IN_PROGRESS'
      | 'PAYLOAD_TOO_LARGE'
      | 'UNSUPPORTED_MEDIA_TYPE'
      | 'IDEMPOTENCY_KEY_REUSED'
      | 'IDEMPOTENCY_IN_PROGRESS'
      | 'IDEMPOTENCY_ANSWER_NOT_KEPT'
      | 'RATE_LIMITED'
      | 'QUOTA_EXCEEDED'
      | 'HEADERS_TOO_LARGE'
      | 'REQUEST_TIMEOUT'
      | 'INTERNAL'
      | 'PROVIDER_UNAVAILABLE'
      | 'POOL_NOT_SYNCED'
      | 'BUSY'
      | 'STORE_UNAVAILABLE'
      | 'CLOCK_OFF'
      | 'SHUTTING_DOWN';
    message: string;
    /** The same as X-Request-ID: tell it to whoever runs the broker. */
    request_id: string;
    /** Seconds after which a retry makes sense, as in Retry-After. */
    retry_after?: number | undefined;
    /** More for a program, such as the fields that are not valid. */
    details?: unknown | undefined;
  };
}

/** Where a sandbox is in its life. */
export type SandboxStatus =
  | 'available'
  | 'allocated'
  | 'pending_deletion'
  | 'deletion_failed'
  | 'stale'
  | 'cooling'
  | 'quarantined'
  | 'deleted';

/** A sandbox. What makes no sense in its status is not there. */
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
  /** Start of the lease, epoch seconds. */
  allocated_at?: number | undefined;
  /** End of the lease, epoch seconds. */
  expires_at?: number | undefined;
  /** How often the holder is to give a sign of life. */
  heartbeat_seconds?: number | undefined;
  /** When the next one is to come by, epoch seconds. */
  heartbeat_by?: number | undefined;
  /** When the broker takes it back, epoch seconds. */
  reclaim_at?: number | undefined;
  /** The mark or the expiry, epoch seconds. */
  deletion_requested_at?: number | undefined;
  /** How often its deletion failed. */
  deletion_retry_count?: number | undefined;
  /** The last failure's kind. */
  deletion_error?: string | undefined;
  /** The next attempt, epoch seconds. */
  deletion_due_at?: number | undefined;
  /** When the provider stopped listing it, epoch seconds. */
  stale_since?: number | undefined;
  /** When it has cooled down, epoch seconds. */
  cooling_until?: number | undefined;
  /** Why it is kept out of the pool; of a leased one: as soon as its lease is over. */
  quarantine_reason?: string | undefined;
  /** When that was asked for, epoch seconds. */
  quarantined_at?: number | undefined;
  /** Only in quarantine: when the provider stopped listing it, epoch seconds. */
  missing_since?: number | undefined;
  /** End of the deletion, epoch seconds. */
  deleted_at?: number | undefined;
  deletion_reason?: 'destroyed' | 'already_gone' | 'purged' | undefined;
  /** First seen, epoch seconds. */
  created_at: number;
  /** Last changed, epoch seconds. */
  updated_at: number;
}

/** One status change. */
export interface SandboxEvent {
  generation: number;
  action: string;
  actor: string;
  from?: SandboxStatus | undefined;
  to: SandboxStatus;
  /** When it happened, epoch seconds. */
  at: number;
  request_id: string;
  correlation_id: string;
  allocated_to_track?: string | undefined;
  lease_id?: string | undefined;
  detail?: string | undefined;
}

/** A sandbox and its status changes, the oldest first. */
export interface SandboxWithHistory {
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
  /** Start of the lease, epoch seconds. */
  allocated_at?: number | undefined;
  /** End of the lease, epoch seconds. */
  expires_at?: number | undefined;
  /** How often the holder is to give a sign of life. */
  heartbeat_seconds?: number | undefined;
  /** When the next one is to come by, epoch seconds. */
  heartbeat_by?: number | undefined;
  /** When the broker takes it back, epoch seconds. */
  reclaim_at?: number | undefined;
  /** The mark or the expiry, epoch seconds. */
  deletion_requested_at?: number | undefined;
  /** How often its deletion failed. */
  deletion_retry_count?: number | undefined;
  /** The last failure's kind. */
  deletion_error?: string | undefined;
  /** The next attempt, epoch seconds. */
  deletion_due_at?: number | undefined;
  /** When the provider stopped listing it, epoch seconds. */
  stale_since?: number | undefined;
  /** When it has cooled down, epoch seconds. */
  cooling_until?: number | undefined;
  /** Why it is kept out of the pool; of a leased one: as soon as its lease is over. */
  quarantine_reason?: string | undefined;
  /** When that was asked for, epoch seconds. */
  quarantined_at?: number | undefined;
  /** Only in quarantine: when the provider stopped listing it, epoch seconds. */
  missing_since?: number | undefined;
  /** End of the deletion, epoch seconds. */
  deleted_at?: number | undefined;
  deletion_reason?: 'destroyed' | 'already_gone' | 'purged' | undefined;
  /** First seen, epoch seconds. */
  created_at: number;
  /** Last changed, epoch seconds. */
  updated_at: number;
  history: SandboxEvent[];
}

/** One page. It may be short and still have a cursor. */
export interface SandboxList {
  sandboxes: SandboxRecord[];
  /** Sandboxes on this page. */
  count: number;
  /** For the next page; absent on the last one. */
  cursor?: string | undefined;
}

/** The pool as a file. */
export interface Export {
  sandboxes: SandboxRecord[];
  /** Of all; only there when the file is whole. */
  count: number;
}

/** The last counts of the pool, with what was changed by hand since. */
export interface PoolStats {
  total: number;
  available: number;
  allocated: number;
  pending_deletion: number;
  stale: number;
  deletion_failed: number;
  cooling: number;
  quarantined: number;
  /** When it was counted, epoch seconds. */
  as_of: number;
}

/** A run that has ended, with the counts of what it did. */
export interface Run {
  /**
   * partial: something in it failed and is tried again; `failed` says how much. refused: it left undone what it did
   * not believe; `stale_refused` says how much.
   */
  status: 'completed' | 'partial' | 'refused';
  duration_ms: number;
  /** The replica was told to stop on the way: this is what was done by then; the next run does the rest. */
  aborted?: true | undefined;
  /** Nothing that cannot be undone was done. */
  dry_run?: true | undefined;
  /** What the dry run held back. */
  action?: 'csp_delete' | 'row_purge' | 'bulk_delete' | 'stale_purge' | 'external_call' | undefined;
  /** There is none of a dry run. */
  result?: null | undefined;
  /** How often the dry run held it back. */
  dry_run_blocked?: number | undefined;
}
