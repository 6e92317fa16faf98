// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** Something an operator should know. */
export interface Alert {
  id: string;
  /** When it was raised, epoch seconds. */
  timestamp: number;
  /** What noticed it. */
  task: string;
  /** What it is; a stable word. */
  reason: string;
  severity: 'info' | 'warning' | 'error' | 'critical';
  /** More about it; correlation_id and request_id of the request or run that noticed it. */
  context: Record<string, unknown>;
  /** The replica that raised it. */
  replica: string;
  /** Where it says what to do: an address, or a path of this broker that needs no token. */
  runbook: string;
}

/** The alerts of the last seven days, the newest first. */
export interface Alerts {
  alerts: Alert[];
  /** Alerts in this answer. */
  count: number;
  /** false: there may be more that are meant; the search was ended early. */
  complete: boolean;
  /** this_replica: the store does not answer, and these are what this replica raised itself. */
  source: 'all_replicas' | 'this_replica';
}
