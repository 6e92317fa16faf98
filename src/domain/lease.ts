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
}

export interface LeaseTerms {
  /** Length of a lease, seconds, > 0. */
  leaseSeconds: number;
  /** Grace after the lease's end, seconds, >= 0. */
  bufferSeconds: number;
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
