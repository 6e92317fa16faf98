// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** A task whose result is not final. */
export interface OpenRetryWindow {
  task: string;
  /** The first attempt, epoch seconds. */
  first_attempt_at: number;
  /** The last attempt, epoch seconds. */
  last_attempt_at: number;
  /** Of all replicas. */
  attempts: number;
}

/** A task from its first attempt to its final result. */
export interface RetryWindow {
  task: string;
  /** The first attempt, epoch seconds. */
  first_attempt_at: number;
  /** The last attempt, epoch seconds. */
  last_attempt_at: number;
  /** Of all replicas. */
  attempts: number;
  result: 'success' | 'failed';
  /** The final result, epoch seconds. */
  ended_at: number;
  /** From the first attempt to the final result. */
  window_seconds: number;
}

/** The last attempts at a task on this replica. */
export interface RetriedTask {
  task: string;
  attempts: {
    /** When it ended, epoch seconds. */
    at: number;
    /** 1, 2, … within one run. */
    attempt: number;
    /** `success`, or the error's kind. */
    outcome: string;
    /** Before the next attempt; absent after the last. */
    wait_seconds?: number | undefined;
  }[];
}

/** What is tried again, and how often. */
export interface Retries {
  /** Tasks that ended on this replica since its start, by the number of their attempts. */
  attempts: Record<'1' | '2' | '3' | '4-5' | '6-10' | '11-20' | '21+', number>;
  /** Of this replica. */
  rate: {
    window_seconds: number;
    /** Tasks that ended in the window. */
    jobs: number;
    /** Those that took more than one attempt. */
    retried: number;
    /** Their share, 0 to 1. */
    rate: number;
    /** More than half of more than ten. */
    anomalous: boolean;
  };
  /** Of this replica. */
  spike: {
    window_seconds: number;
    /** In the window under way. */
    retries: number;
    /** The mean of the completed windows. */
    usual?: number | undefined;
    /** Of these; three are needed. */
    completed_windows: number;
    /** The last time there were far more than usual, epoch seconds. */
    last_spike_at?: number | undefined;
  };
  /** Tasks under way, the one tried last first. */
  open: OpenRetryWindow[];
  /** Tasks that are over, of all replicas, the last one first. */
  ended: RetryWindow[];
  /** false: the store is out of reach; the tasks are those of this replica. */
  shared: boolean;
  /** The one tried last first. */
  tasks: RetriedTask[];
}
