// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.
import type { Lease } from './leases.ts';

/** A place in the line. Ask again, just as before, to keep it and to be served. */
export interface InLine {
  status: 'waiting';
  /** Of the place: the same for as long as the caller goes on asking. */
  ticket_id: string;
  /** 1 is the head: served next. */
  position: number;
  /** How many wait, this one included. */
  waiting: number;
  /** When its turn is expected, seconds from now: an estimate; null: nobody knows. */
  eta_seconds: number | null;
}

/** The place was served: this is the lease. */
export interface Served {
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
  status: 'served';
}

/** The place is given up. */
export interface LeftLine {
  status: 'left';
  ticket_id: string;
}

/** A place in the line. */
export interface Place {
  ticket_id: string;
  /** 1 is the head: served next. */
  position: number;
  /** 0 to 9; 10 is at the head, for a sandbox that was reported as broken. */
  priority: number;
  holder: string;
  /** The lab the holder runs. */
  track_name?: string | undefined;
  name_prefix?: string | undefined;
  /** Epoch seconds. */
  joined_at: number;
  /** Epoch seconds: without another call until then the place is given up. */
  alive_until: number;
  /** When its turn is expected, seconds from now: an estimate; null: nobody knows. */
  eta_seconds: number | null;
}

/** A part of the line, from its head on. */
export interface Line {
  places: Place[];
  /** Places on this page. */
  count: number;
  /** How many wait in all. */
  waiting: number;
  /** For the next page; absent on the last one. */
  cursor?: string | undefined;
}

/** A sandbox that was reported as broken, and what its holder got instead. */
export interface Reported {
  sandbox_id: string;
  status: 'quarantined';
  /** The sandbox that its key has instead. */
  replacement?: Lease | undefined;
  /** The place that its key has instead: nothing was free. */
  place?: InLine | undefined;
}
