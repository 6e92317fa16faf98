/** A task from its first attempt on, whichever replicas made the attempts. Times are epoch milliseconds. */
export interface OpenWindow {
  task: string;
  firstAttemptAtMs: number;
  lastAttemptAtMs: number;
  attempts: number;
}

/** A task from its first attempt to its final result. */
export interface EndedWindow extends OpenWindow {
  result: 'success' | 'failed';
  endedAtMs: number;
}

/** What is strange about a single task: it takes too long, or too many attempts. */
export const WINDOW_ANOMALIES = ['window', 'attempts'] as const;
export type WindowAnomaly = (typeof WINDOW_ANOMALIES)[number];

/** More is an anomaly; as much is not. */
export const MAX_WINDOW_MS = 3_600_000;
export const MAX_ATTEMPTS = 10;

/** What is strange about a task at a moment, or was at its end. */
export function windowAnomalies(window: OpenWindow | EndedWindow, nowMs: number): WindowAnomaly[] {
  const untilMs = 'endedAtMs' in window ? window.endedAtMs : nowMs;
  const anomalies: WindowAnomaly[] = [];
  if (untilMs - window.firstAttemptAtMs > MAX_WINDOW_MS) anomalies.push('window');
  if (window.attempts > MAX_ATTEMPTS) anomalies.push('attempts');
  return anomalies;
}

/** How many attempts a task took. */
export const RETRY_BUCKETS = ['1', '2', '3', '4-5', '6-10', '11-20', '21+'] as const;
export type RetryBucket = (typeof RETRY_BUCKETS)[number];

/** Where the replicas tell each other of tasks that took more than one attempt. It is statistics: nothing waits for it. */
export interface RetryWindowStore {
  /** Adds attempts to a task that is not over; gives the task as all replicas together have seen it. */
  add(attempts: OpenWindow, signal: AbortSignal): Promise<OpenWindow>;
  /** A task is over. `wasShared`: it was there as an open one; if it is no more, another replica has ended it. */
  end(window: EndedWindow, wasShared: boolean, signal: AbortSignal): Promise<void>;
  /** Tasks that are not over, a bounded number. */
  readOpen(nowMs: number, signal: AbortSignal): Promise<OpenWindow[]>;
  /** The tasks that ended last, a bounded number, the last one first. */
  readEnded(nowMs: number, signal: AbortSignal): Promise<EndedWindow[]>;
}
