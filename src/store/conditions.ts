/** Nothing is there yet. */
export const IS_NEW = 'attribute_not_exists(pk)';

/** The record is as it was read: nobody has written it since. */
export const IS_UNCHANGED = 'generation = :seen';

/** The sandbox is as the hint said and still free. Aliases `#status`, because `status` is a reserved word. */
export const IS_STILL_AVAILABLE = '#status = :available AND generation = :seen';

/**
 * The idempotency key has no lease in force:
 *
 *     allocated_at ───── lease ─────▶ lease_expires_at ── buffer ──▶ expires_at ──▶ free again
 *     └────────────── replays answer with this lease ──────────────┘
 */
export const KEY_IS_FREE = 'attribute_not_exists(pk) OR expires_at <= :now';

/** The idempotency key still belongs to the lease that ends, or is gone already. */
export const KEY_IS_OF_LEASE = 'attribute_not_exists(pk) OR lease_id = :lease';

/**
 * A loop's turn can be had. Times are epoch milliseconds.
 *
 *     taken ──renewed──renewed──▶ until          a run is under way, nobody else may start
 *     started ───────────▶ next_run_at           the interval is served, no other replica need run
 */
export const TURN_IS_FREE = '(attribute_not_exists(pk) OR until_ms < :now)';
export const TURN_IS_FREE_AND_DUE = `${TURN_IS_FREE} AND (attribute_not_exists(next_run_at_ms) OR next_run_at_ms <= :now)`;
export const TURN_IS_MINE = 'fence = :fence AND holder = :holder';

/** Its time is over, and TTL has not taken it yet. Aliases `#ttl`, because `ttl` is a reserved word. */
export const IS_EXPIRED = '#ttl < :now';
