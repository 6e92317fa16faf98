/** What the console reads of the API's answers. A test holds these against the broker's own schemas. */

export const POOL_STATUSES = [
  'available',
  'allocated',
  'pending_deletion',
  'deletion_failed',
  'stale',
  'quarantined',
] as const;
export type PoolStatus = (typeof POOL_STATUSES)[number];
export type SandboxStatus = PoolStatus | 'deleted';

/** Times are epoch seconds. */
export interface SandboxRecord {
  sandbox_id: string;
  name: string;
  external_id: string;
  status: SandboxStatus;
  sfdc_account_id?: string | undefined;
  lease_id?: string | undefined;
  fencing_token?: number | undefined;
  allocated_to_track?: string | undefined;
  track_name?: string | undefined;
  allocated_at?: number | undefined;
  expires_at?: number | undefined;
  heartbeat_seconds?: number | undefined;
  heartbeat_by?: number | undefined;
  reclaim_at?: number | undefined;
  deletion_requested_at?: number | undefined;
  deletion_retry_count?: number | undefined;
  deletion_error?: string | undefined;
  deletion_due_at?: number | undefined;
  stale_since?: number | undefined;
  quarantine_reason?: string | undefined;
  quarantined_at?: number | undefined;
  missing_since?: number | undefined;
  deleted_at?: number | undefined;
  deletion_reason?: string | undefined;
  created_at: number;
  updated_at: number;
}

export interface SandboxEvent {
  generation: number;
  action: string;
  actor: string;
  from?: SandboxStatus | undefined;
  to: SandboxStatus;
  at: number;
  correlation_id: string;
  allocated_to_track?: string | undefined;
  detail?: string | undefined;
}

export interface SandboxWithHistory extends SandboxRecord {
  history: SandboxEvent[];
}

export interface SandboxPage {
  sandboxes: SandboxRecord[];
  cursor?: string | undefined;
}

export interface LoopRecord {
  name: string;
  interval_seconds: number;
  last_run: {
    outcome: 'success' | 'partial' | 'refused' | 'error' | 'aborted';
    ended_at: number;
    duration_ms: number;
    counts: Record<string, number>;
  } | null;
  recent_runs: { runs: number; with_failures: number };
  left_to_others_at: number | null;
  next_run_at: number | null;
}

export interface BreakerRecord {
  name: string;
  state: 'closed' | 'open' | 'half_open';
  since: number;
  failures: number;
  threshold: number;
  retry_at?: number | undefined;
  override?: { state: string; until: number } | undefined;
  shared: boolean;
  /** Why its calls are suspended. */
  why?: string | undefined;
}

export interface QuotaRecord {
  resource: string;
  scope: 'local' | 'global';
  current_actions: number;
  max_actions: number | null;
  window_seconds: number;
  denied_count: number;
  overridden: boolean;
}

export interface DryRunLog {
  dry_run: boolean;
  strict: boolean;
  entries: {
    timestamp: number;
    action: string;
    status: 'dry_run_blocked' | 'executed' | 'error';
    args: Record<string, unknown>;
  }[];
}

export interface AlertRecord {
  id: string;
  timestamp: number;
  task: string;
  reason: string;
  severity: 'info' | 'warning' | 'error' | 'critical';
  context: Record<string, unknown>;
  /** Where it says what to do. */
  runbook?: string | undefined;
  replica: string;
}

export interface AlertList {
  alerts: AlertRecord[];
  source: 'all_replicas' | 'this_replica';
}

export interface PlaceRecord {
  ticket_id: string;
  position: number;
  priority: number;
  holder: string;
  track_name?: string | undefined;
  name_prefix?: string | undefined;
  joined_at: number;
  alive_until: number;
  eta_seconds: number | null;
}

/** The first of those who wait. */
export interface LineRecord {
  waiting: number;
  places: PlaceRecord[];
}

export interface StatusRecord {
  readiness: {
    verdict: 'go' | 'degraded' | 'no_go';
    reasons: string[];
    is_ready: boolean;
    last_check: number;
    checks: Record<string, { status: 'ok' | 'degraded' | 'failing'; detail?: string | undefined }>;
  } | null;
  heartbeat: Record<string, { is_running: boolean; is_healthy: boolean }>;
  breakers: BreakerRecord[];
  governor: QuotaRecord[];
  dry_run: { enabled: boolean; strict: boolean; blocked: number };
  replicas: string[];
  pool: (Record<PoolStatus, number> & { total: number; as_of: number }) | null;
  loops: LoopRecord[];
  activity: { leases_per_minute: number; refusals_per_minute: number; p95_ms: number | null };
  worker_queue_length: number;
  version: string;
  uptime: number;
}

export const JOB_TYPES = ['sync', 'cleanup', 'expire', 'purge'] as const;
export const JOB_STATUSES = ['pending', 'running', 'completed', 'failed'] as const;

export interface JobRecord {
  job_id: string;
  type: (typeof JOB_TYPES)[number];
  status: (typeof JOB_STATUSES)[number];
  options: Record<string, unknown>;
  attempts: number;
  submitted_by: string;
  correlation_id: string;
  submitted_at: number;
  started_at?: number | undefined;
  ended_at?: number | undefined;
  not_before?: number | undefined;
  worker?: string | undefined;
  result?: Record<string, number> | undefined;
  dry_run?: true | undefined;
  error?: { code: string; message: string } | undefined;
}

export interface JobPage {
  jobs: JobRecord[];
  cursor?: string | undefined;
}

/** As the stream tells it: of a job that runs on the replica asked, how far it has come. */
export interface LiveJob extends JobRecord {
  progress?: { done: number; total: number } | undefined;
}

/** A row for each sample. */
export interface HistoryColumns extends Record<PoolStatus, (number | null)[]> {
  at: number[];
  leases_per_minute: number[];
  refusals_per_minute: number[];
  p95_ms: (number | null)[];
}

export interface HistoryRecord extends HistoryColumns {
  since: number;
  interval_seconds: number;
  kept_seconds: number;
}

export interface SessionRecord {
  role: 'admin' | 'viewer';
  name: string;
  can_change: boolean;
}
