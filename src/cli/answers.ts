import type { SandboxRecord } from '../client/index.ts';

/*
 * What the broker answers operators with, as far as the command line looks into it. The server checks every answer
 * against its own schemas before it is sent.
 */

export interface SandboxPage {
  sandboxes: SandboxRecord[];
  count: number;
  cursor?: string;
}

export interface SandboxWithHistory extends SandboxRecord {
  history: {
    at: number;
    action: string;
    actor: string;
    to: string;
    correlation_id: string;
    allocated_to_track?: string;
    detail?: string;
  }[];
}

export interface PoolStats {
  total: number;
  as_of: number;
  [status: string]: number;
}

export interface BrokerStatus {
  readiness: { verdict: 'go' | 'degraded' | 'no_go'; reasons: string[] } | null;
  provider: { kind: 'csp' | 'simulated'; last_sync: { listed?: number; error?: string } | null };
  breakers: { name: string; state: string }[];
  dry_run: { enabled: boolean; strict: boolean };
  pool: PoolStats | null;
  activity: { leases_per_minute: number; refusals_per_minute: number; p95_ms: number | null };
  worker_queue_length: number;
  alerts: Alert[];
  replicas: string[];
  loops: { name: string; recent_runs: { runs: number; with_failures: number } }[];
  version: string;
}

export interface Job {
  job_id: string;
  type: string;
  status: 'pending' | 'running' | 'completed' | 'failed';
  attempts: number;
  submitted_at: number;
  started_at?: number;
  ended_at?: number;
  result?: Record<string, number>;
  dry_run?: true;
  error?: { code: string; message: string };
}

export interface JobPage {
  jobs: Job[];
  count: number;
  cursor?: string;
}

export interface Alert {
  timestamp: number;
  severity: string;
  task: string;
  reason: string;
  context: Record<string, unknown>;
  /** An address, or a path of the broker. */
  runbook: string;
}

export interface AlertList {
  alerts: Alert[];
  count: number;
  complete: boolean;
  source: string;
}

export interface Readiness {
  verdict: 'go' | 'degraded' | 'no_go';
  checks: Record<string, { status: string; detail?: string }>;
}

export interface Check {
  name: string;
  status: string;
  message: string;
}

export type Heartbeats = Record<
  string,
  { is_running: boolean; is_healthy: boolean; last_heartbeat: number | null }
>;

interface RetryWindow {
  task: string;
  attempts: number;
  first_attempt_at: number;
  last_attempt_at: number;
  result?: string;
}

export interface Retries {
  rate: { jobs: number; retried: number; anomalous: boolean };
  spike: { last_spike_at?: number };
  open: RetryWindow[];
  ended: RetryWindow[];
}

export interface Labels {
  mode: string;
  max_values: number;
  labels: { metric: string; label: string; values: number; capped: number }[];
}

export interface Breaker {
  name: string;
  state: string;
  since: number;
  failures: number;
  threshold: number;
  why?: string;
  retry_at?: number;
  override?: { state: string; until: number };
}

export interface Quota {
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
  entries: { timestamp: number; action: string; status: string; args: Record<string, unknown> }[];
}

export interface WaitingPlace {
  ticket_id: string;
  position: number;
  priority: number;
  holder: string;
  track_name?: string;
  name_prefix?: string;
  joined_at: number;
  alive_until: number;
  eta_seconds: number | null;
}

export interface LinePage {
  places: WaitingPlace[];
  count: number;
  waiting: number;
  cursor?: string;
}

/** An answer's body as what its endpoint answers with. */
export const as = <Body>({ body }: { body: unknown }): Body => body as Body;
