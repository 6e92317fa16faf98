// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.

/** Something that must happen once, and what is known of it. */
export interface Effect {
  id: string;
  type: string;
  /** What it is done to: of a deletion the sandbox and its lease. */
  entity: unknown;
  /** Which time it is done to it: of a sandbox, the generation of its record. */
  generation: number;
  /**
   * in_progress: somebody is at it, or was and did not come back; then the far side is asked first. completed: it
   * will not be done again. failed: it did not happen, and may be tried again.
   */
  state: 'in_progress' | 'completed' | 'failed';
  /** How often somebody set out to do it. */
  holders: number;
  /** Until when nobody else may, epoch seconds. */
  lease_until: number;
  /** When it was begun, or ended, last, epoch seconds. */
  changed_at?: number | undefined;
  /** Until when it is remembered, epoch seconds. */
  remembered_until: number;
  /** The name of the error that it failed with. */
  error?: string | undefined;
  /** What it was completed with; secrets are masked. */
  result?: unknown | undefined;
}

/** One page, in no order. It may be short, or empty, and still have a cursor. */
export interface EffectList {
  effects: Effect[];
  /** Effects on this page. */
  count: number;
  /** For the next page; absent on the last one. */
  cursor?: string | undefined;
}

/** A key that is remembered. The key itself is kept nowhere. */
export type RememberedKey =
  | {
      /** A hash of who used the key, and of the key. */
      id: string;
      /** When the request, or the lease, began, epoch seconds. */
      began_at: number;
      /** Until when the key is remembered, epoch seconds. */
      remembered_until: number;
      kind: 'request';
      state: 'under_way' | 'done';
      /** Such as POST /v1/admin/sync. */
      operation: string;
      /** Which carries it out, or did. */
      replica: string;
      /** Of the answer that is kept. */
      answer_status?: number | undefined;
    }
  | {
      /** A hash of who used the key, and of the key. */
      id: string;
      /** When the request, or the lease, began, epoch seconds. */
      began_at: number;
      /** Until when the key is remembered, epoch seconds. */
      remembered_until: number;
      kind: 'lease';
      state: 'leased' | 'lease_over';
      sandbox_id: string;
      lease_id: string;
      /** By the caller; false: the holder is the key. */
      chosen: boolean;
    };

/** What is carried out once, and the keys by which it is known. A page may be short and still have a cursor. */
export interface Idempotency {
  /**
   * Operators' requests with a key on this replica since its start: executed and replayed (hits), other_request and
   * in_progress (conflicts), not_kept (failed), unstored.
   */
  requests: Record<
    'executed' | 'replayed' | 'other_request' | 'in_progress' | 'not_kept' | 'unstored',
    number
  >;
  /** Allocations on this replica since its start. */
  leases: {
    /** Leases under a key that had none. */
    granted: number;
    /** Hits: the lease that the key had. */
    replayed: number;
    /** Conflicts: the key was another request's. */
    refused: number;
  };
  /** Of all replicas, in no order. */
  keys: RememberedKey[];
  /** Keys on this page. */
  count: number;
  /** For the next page; absent on the last one. */
  cursor?: string | undefined;
}
