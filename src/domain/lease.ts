/** A holder that is silent for longer than this, with the grace, loses its lease before its end. */
export interface Heartbeat {
  /** Between two signs of life at the most. */
  seconds: number;
  /** When the next one is to come by, epoch seconds. */
  by: number;
}

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
  /** Only of one of several leases under one key: what the key has for the id of them all. */
  groupId?: string | undefined;
  /** Only of a key that the caller chose: until when it is remembered, also after the lease. */
  keyRememberedUntil?: number | undefined;
  /**
   * Rises with each lease of a sandbox, so that whoever serves it can refuse an earlier holder: the generation that the
   * lease began with. Only a lease that an earlier version granted has none.
   */
  fencingToken?: number | undefined;
  /** Only of a lease whose holder said that it would give signs of life. */
  heartbeat?: Heartbeat | undefined;
  /**
   * Only of a lease that was given to a place in the line, while its caller has not been told of it: from then on the
   * sandbox goes to the next. Nobody has seen it, so it needs no cleanup.
   */
  collectBy?: number | undefined;
}

/** The principal of all tracks' tokens: rotating them takes nobody's lease away. */
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

/** As far as a replica's clock may be off the store's: whoever beats in time by the one is not silent by the other. */
export const HEARTBEAT_GRACE_SECONDS = 30;

/** When a holder that stays silent from now on loses its lease, epoch seconds. */
const silenceEndsAt = ({ heartbeat }: Lease): number =>
  heartbeat === undefined ? Number.POSITIVE_INFINITY : heartbeat.by + HEARTBEAT_GRACE_SECONDS;

/**
 * When the lease is over unless it is extended, or its holder heard of, epoch seconds. From then on nothing revives it.
 *
 *     last beat ── seconds ──▶ heartbeat.by ── grace ──▶ over, and taken back at once
 *     allocatedAt ──────────────────────────────────────────── expiresAt: over ── buffer ──▶ reclaimAt: taken back
 */
export const endsAt = (lease: Lease): number => Math.min(lease.expiresAt, silenceEndsAt(lease));

/** When the broker takes the sandbox back: after a silence at once, at the lease's own end after the buffer. Epoch seconds. */
export const takenBackAt = (lease: Lease): number =>
  isSilenceFirst(lease) ? silenceEndsAt(lease) : lease.reclaimAt;

const isSilenceFirst = (lease: Lease): boolean => silenceEndsAt(lease) < lease.expiresAt;

/** Its holder has been silent for too long, while the lease would have lasted. */
export const isSilent = (lease: Lease, nowMs: number): boolean =>
  isSilenceFirst(lease) && silenceEndsAt(lease) * 1000 <= nowMs;

export const isOver = (lease: Lease, nowMs: number): boolean => endsAt(lease) * 1000 <= nowMs;

/** The lease of a holder that has been heard of now. */
export function heardOf(lease: Lease, nowMs: number): Lease {
  if (lease.heartbeat === undefined) return lease;
  const { seconds, by } = lease.heartbeat;
  return { ...lease, heartbeat: { seconds, by: Math.max(by, Math.floor(nowMs / 1000) + seconds) } };
}

/** The lease with its end `durationSeconds` from now, whoever asks for it: not beyond the longest that one may last, and never earlier than it was. */
export function prolonged(lease: Lease, durationSeconds: number, nowMs: number, rules: LeaseRules): Lease {
  const latest = lease.allocatedAt + rules.maxLeaseSeconds;
  const expiresAt = Math.min(Math.floor(nowMs / 1000) + durationSeconds, latest);
  if (expiresAt <= lease.expiresAt) return lease;
  const reclaimAt = expiresAt + rules.bufferSeconds;
  const { keyRememberedUntil: rememberedUntil } = lease;
  return {
    ...lease,
    expiresAt,
    reclaimAt,
    ...(rememberedUntil !== undefined && { keyRememberedUntil: Math.max(rememberedUntil, reclaimAt) }),
  };
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

/** Whether the lease that a key tells of is over; `expiresAt`: its end with the buffer, epoch seconds. */
export const isLeaseOver = ({ expiresAt }: { expiresAt: number }, nowMs: number): boolean =>
  expiresAt * 1000 <= nowMs;
