import type { Alert, Alerts } from '../../../api/types/alerts.ts';
import type { Breaker } from '../../../api/types/breakers.ts';
import type { DryRunLog } from '../../../api/types/dry-run.ts';
import type { Job, JobList } from '../../../api/types/jobs.ts';
import type { Line, Place } from '../../../api/types/line.ts';
import type { PoolHistory, Session } from '../../../api/types/live.ts';
import type { Quota } from '../../../api/types/quotas.ts';
import type {
  SandboxEvent,
  SandboxList,
  SandboxRecord,
  SandboxStatus,
  SandboxWithHistory,
} from '../../../api/types/sandboxes.ts';
import type { Loop, Status } from '../../../api/types/status.ts';

/* What the console reads of the API's answers, under its own names. */

export type PoolStatus = Exclude<SandboxStatus, 'deleted'>;
export const POOL_STATUSES = [
  'available',
  'allocated',
  'pending_deletion',
  'deletion_failed',
  'stale',
  'cooling',
  'quarantined',
] as const satisfies PoolStatus[];

export const JOB_TYPES = ['sync', 'cleanup', 'expire', 'purge'] as const satisfies Job['type'][];
export const JOB_STATUSES = ['pending', 'running', 'completed', 'failed'] as const satisfies Job['status'][];

export type AlertList = Omit<Alerts, 'alerts'> & { alerts: AlertRecord[] };
/** A replica of an earlier version names no runbook. */
export type AlertRecord = Omit<Alert, 'runbook'> & { runbook?: string | undefined };
export type BreakerRecord = Breaker;
export type HistoryRecord = PoolHistory;
/** A row for each sample. */
export type HistoryColumns = Omit<PoolHistory, 'since' | 'interval_seconds' | 'kept_seconds'>;
export type JobPage = JobList;
export type JobRecord = Job;
/** As the stream tells it: of a job that runs on the replica asked, how far it has come. */
export type LiveJob = Job & { progress?: { done: number; total: number } | undefined };
/** The first of those who wait. */
export type LineRecord = Pick<Line, 'waiting' | 'places'>;
export type LoopRecord = Loop;
export type PlaceRecord = Place;
export type QuotaRecord = Quota;
export type { DryRunLog, SandboxEvent, SandboxRecord, SandboxStatus, SandboxWithHistory };
export type SandboxPage = SandboxList;
export type SessionRecord = Session;
export type StatusRecord = Status;
