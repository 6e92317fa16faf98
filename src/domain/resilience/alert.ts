/** The least severe first. */
export const ALERT_SEVERITIES = ['info', 'warning', 'error', 'critical'] as const;
export type AlertSeverity = (typeof ALERT_SEVERITIES)[number];

/** Something an operator should know. `task` is what noticed it, `reason` a stable word for what it is. */
export interface Alert {
  task: string;
  reason: string;
  severity: AlertSeverity;
  context: Record<string, unknown>;
  /** When what it says was so, epoch milliseconds; absent: now. */
  atMs?: number | undefined;
}

/** Raises an alert. Never throws and never waits. */
export type RaiseAlert = (alert: Alert) => void;

/** An alert that was raised. Its context is JSON, without secrets, and of bounded size. */
export interface RaisedAlert extends Alert {
  id: string;
  /** Epoch milliseconds. */
  atMs: number;
  /** The replica that raised it. */
  replica: string;
}

/** Which alerts are meant. What is absent, or empty, excludes nothing. */
export interface AlertFilter {
  task?: string | undefined;
  severity?: AlertSeverity | undefined;
  /** This severity and everything above. */
  minSeverity?: AlertSeverity | undefined;
}

/** The severities that a filter lets through. */
export const severitiesOf = ({ severity, minSeverity }: AlertFilter): AlertSeverity[] =>
  ALERT_SEVERITIES.filter(
    (each) =>
      (severity === undefined || each === severity) &&
      (minSeverity === undefined || rank(each) >= rank(minSeverity)),
  );

export const passesFilter = (alert: Alert, filter: AlertFilter): boolean =>
  (filter.task === undefined || alert.task === filter.task) && severitiesOf(filter).includes(alert.severity);

/** For sorting: the newest first; of two at one time always the same one. */
export const newestFirst = (a: RaisedAlert, b: RaisedAlert): number =>
  b.atMs - a.atMs || (a.id < b.id ? 1 : -1);

/**
 * What became of an alert's notification. `swallowed`: by the cooldown. `failed`: it did not get through, however often
 * it was tried. `dropped`: too many were waiting, or the broker ended.
 */
export const WEBHOOK_OUTCOMES = ['sent', 'dry_run', 'swallowed', 'failed', 'dropped'] as const;
export type WebhookOutcome = (typeof WEBHOOK_OUTCOMES)[number];

/**
 * What became of an alert's record. `failed`: the store refused it. `dropped`: too many were waiting or had been written
 * in this minute, or the broker ended.
 */
export const RECORD_OUTCOMES = ['stored', 'failed', 'dropped'] as const;
export type RecordOutcome = (typeof RECORD_OUTCOMES)[number];

const rank = (severity: AlertSeverity): number => ALERT_SEVERITIES.indexOf(severity);

/** The alerts of all replicas, for seven days. */
export interface AlertStore {
  write(alert: RaisedAlert, signal?: AbortSignal): Promise<void>;
  /**
   * The newest `limit` that are meant, the newest first. `complete`: false when the search ended at its bound, and there
   * may be more.
   */
  list(
    query: AlertFilter & { limit: number; nowMs: number },
    signal?: AbortSignal,
  ): Promise<{ alerts: RaisedAlert[]; complete: boolean }>;
}
