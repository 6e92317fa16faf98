// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** GO, serving with a but, or NO-GO, and why. */
export interface Readiness {
  /** go: every check is ok; degraded: serving, but for the reasons; no_go: not serving. */
  verdict: 'go' | 'degraded' | 'no_go';
  /** Why it is not GO, what is failing first. */
  reasons: string[];
  /** It serves: the verdict is go, or degraded. */
  is_ready: boolean;
  /** Epoch seconds. */
  last_check: number;
  total_checks: number;
  passed_checks: number;
  failed_checks: number;
  checks: Record<
    string,
    {
      /**
       * degraded: tracks are served all the same; failing: they are not, and this replica leaves the service, unless
       * the store is away from all of them.
       */
      status: 'ok' | 'degraded' | 'failing';
      detail?: string | undefined;
    }
  >;
}

/** The signs of life of the loops and the worker, by name. */
export type Heartbeats = Record<
  string,
  {
    is_running: boolean;
    /** Running, and heard of within SANDBOX_HEARTBEAT_TIMEOUT. */
    is_healthy: boolean;
    /** Epoch seconds; null before the first. */
    last_heartbeat: number | null;
    seconds_since_heartbeat: number | null;
    /** How often it was looked at. */
    total_checks: number;
  }
>;

/** What the promises rest on in the store, as it was found just now. */
export interface Runtime {
  /** The worst of the checks. */
  status: 'ok' | 'warning' | 'error' | 'critical';
  checks: {
    name: string;
    status: 'ok' | 'warning' | 'error' | 'critical';
    /** What is so and, where it should not be, how to mend it. */
    message: string;
    details: Record<string, unknown>;
  }[];
}

/** The labels of the metrics and how many values each has. */
export interface MetricsGuard {
  /** strict: a metric with an identifier as a label is refused. */
  mode: 'strict' | 'warn';
  /** Values a label may have; new ones beyond are counted as "other". */
  max_values: number;
  /** By metric. */
  violations: Record<string, number>;
  labels: {
    metric: string;
    label: string;
    values: number;
    /** Counted as "other". */
    capped: number;
  }[];
}
