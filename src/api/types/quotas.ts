// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** How often something may be done, and how often it was. */
export interface Quota {
  resource: 'api_call' | 'allocate' | 'csp_delete' | 'bulk_delete' | 'data_export';
  /** global: counted over all replicas; local: each counts for itself. */
  scope: 'local' | 'global';
  /** Uses in the window, a few seconds old where global. Of api_call: of the busiest caller. */
  current_actions: number;
  /** null: no limit. */
  max_actions: number | null;
  window_seconds: number;
  /** Refusals by this replica since its start. */
  denied_count: number;
  /** Set at run time, instead of what this replica was configured with. */
  overridden: boolean;
}

/** All quotas. */
export interface Quotas {
  resources: Quota[];
}
