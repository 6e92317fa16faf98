/** Who holds a sandbox, and until when. All times are epoch seconds. */
export interface Lease {
  leaseId: string;
  /** `X-Instruqt-Sandbox-ID`, else `X-Track-ID`: the one allowed to give the sandbox back. */
  holder: string;
  /** The lab the holder runs (`X-Instruqt-Track-ID`), for operators. */
  lab?: string | undefined;
  allocatedAt: number;
  /** End of the lease proper. The holder may still give back, and replay, until `reclaimAt`. */
  expiresAt: number;
  /** `expiresAt` plus the buffer: from here on the broker takes the sandbox back. */
  reclaimAt: number;
  /** Partition key of the idempotency record that goes with this lease. */
  idempotencyPk: string;
  /** Only of a key that the caller chose: until when it is remembered, also after the lease. */
  keyRememberedUntil?: number | undefined;
  /**
   * Rises with each lease of a sandbox, so that whoever serves it can refuse an earlier holder: the generation that the
   * lease began with. Only a lease that an earlier version granted has none.
   */
  fencingToken?: number | undefined;
}

/** Whose keys those of the tracks are: all their tokens are one principal, so that rotating them takes nobody's lease away. */
export const TRACK_PRINCIPAL = 'track';

export interface LeaseTerms {
  /** Length of a lease, seconds, > 0. */
  leaseSeconds: number;
  /** Grace after the lease's end, seconds, >= 0. */
  bufferSeconds: number;
}

/** What may be asked for, and what is given unasked. */
export interface LeaseRules extends LeaseTerms {
  /** From a lease's begin to its end, however often it is extended, seconds, >= `leaseSeconds`. */
  maxLeaseSeconds: number;
}

/**
 * The times of a lease that starts now.
 *
 *     allocatedAt ──── leaseSeconds ────▶ expiresAt ── bufferSeconds ──▶ reclaimAt
 *     holder works; replays answer 200     holder may still give back    expired, key free again
 */
export function leaseTimes(
  nowMs: number,
  terms: LeaseTerms,
): Pick<Lease, 'allocatedAt' | 'expiresAt' | 'reclaimAt'> {
  const allocatedAt = Math.floor(nowMs / 1000);
  const expiresAt = allocatedAt + terms.leaseSeconds;
  return { allocatedAt, expiresAt, reclaimAt: expiresAt + terms.bufferSeconds };
}

/** A key is remembered at least so long, seconds: longer than anybody who lost an answer goes on asking. */
const KEY_WINDOW_SECONDS = 86_400;

/**
 * Until when a key that the caller chose answers with this lease, whatever has become of it: a day, or the lease with
 * its buffer, whichever is longer.
 */
export const keyRememberedUntil = ({
  allocatedAt,
  reclaimAt,
}: Pick<Lease, 'allocatedAt' | 'reclaimAt'>): number => Math.max(reclaimAt, allocatedAt + KEY_WINDOW_SECONDS);
