// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.
import type { SandboxStatus } from './sandboxes.ts';

/** What a holder gets. */
export interface Lease {
  sandbox_id: string;
  name: string;
  external_id: string;
  /** Differs for every lease, also of one sandbox to one holder. */
  lease_id: string;
  /**
   * Higher with every lease of a sandbox: whatever stands before it can refuse an earlier holder. Only a lease from
   * before an upgrade has none.
   */
  fencing_token?: number | undefined;
  /** Start of the lease, epoch seconds. */
  allocated_at: number;
  /** End of the lease, epoch seconds. */
  expires_at: number;
  /** How often the holder is to give a sign of life. */
  heartbeat_seconds?: number | undefined;
  /** Only of a lease with a heartbeat: when the next one is to come by, epoch seconds. */
  heartbeat_by?: number | undefined;
  sfdc_account_id?: string | undefined;
  /** Only for an Idempotency-Key whose lease is over: the sandbox is not yours any more. */
  lease_over?: true | undefined;
}

/** What a holder gets who asked for several: `count` leases of one key. */
export interface Leases {
  count: number;
  leases: Lease[];
}

/** A sandbox that was given back. */
export interface Marked {
  sandbox_id: string;
  status: SandboxStatus;
  /** The first mark, epoch seconds. */
  deletion_requested_at: number;
}

/** All sandboxes of a key, given back. */
export interface MarkedAll {
  count: number;
  marked: Marked[];
}
