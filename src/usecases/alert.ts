/** Something an operator should know. `task` is what noticed it, `reason` a stable word for what it is. */
export interface Alert {
  task: string;
  reason: string;
  severity: 'info' | 'warning' | 'error' | 'critical';
  context: Record<string, unknown>;
}

/** Raises an alert. Never throws and never waits. */
export type RaiseAlert = (alert: Alert) => void;
