// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** A circuit breaker. */
export interface Breaker {
  /** Whose calls it guards. */
  name: 'csp_list' | 'csp_delete' | 'webhook';
  /** What decides about calls at the moment: none is made while open, one while half_open. */
  state: 'closed' | 'open' | 'half_open';
  /** Since when the calls themselves have had it where it is, epoch seconds. */
  since: number;
  /** Failed calls that count at the moment. */
  failures: number;
  /** With so many it opens. */
  threshold: number;
  /** Why its calls are suspended. */
  why?: 'outage' | 'rate_limited' | 'unauthorized' | 'half_failing' | undefined;
  /** The last failed call that counted, epoch seconds. */
  last_failure_at?: number | undefined;
  /** When one call may probe, epoch seconds. */
  retry_at?: number | undefined;
  /** An operator's word. */
  override?:
    | {
        state: 'open' | 'closed';
        /** Its end, epoch seconds. */
        until: number;
      }
    | undefined;
  /** false: the store is out of reach, and this replica decides by itself. */
  shared: boolean;
}

/** All circuit breakers. */
export interface Breakers {
  breakers: Breaker[];
}
