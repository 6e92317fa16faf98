/** Nothing is there yet. */
export const IS_NEW = 'attribute_not_exists(pk)';

/** Something is still there. */
export const IS_THERE = 'attribute_exists(pk)';

/** This very write has not arrived yet: sent again after its answer was lost, it would be counted twice. */
export const IS_FIRST_DELIVERY = 'attribute_not_exists(delivery_id) OR delivery_id <> :delivery';

/** The record is as it was read: nobody has written it since. */
export const IS_UNCHANGED = 'generation = :seen';

/** The sandbox is as the hint said and still free. Aliases `#status`, because `status` is a reserved word. */
export const IS_STILL_AVAILABLE = '#status = :available AND generation = :seen';

/**
 * The idempotency key has no lease in force:
 *
 *     allocated_at ───── lease ─────▶ lease_expires_at ── buffer ──▶ expires_at ──▶ over            ──▶ remembered_until
 *     └────────────── replays answer with this lease ──────────────┘└── "it is over", if the key is the caller's own ──┘
 *
 * A lease that ends early sets `expires_at` of its key to 0.
 */
export const KEY_IS_FREE = 'attribute_not_exists(pk) OR expires_at <= :now';
/** It does not even remember one. */
export const KEY_IS_FORGOTTEN =
  'attribute_not_exists(pk) OR (expires_at <= :now AND (attribute_not_exists(remembered_until) OR remembered_until <= :now))';

/** No place in the line is kept under the key, or only the one at `:gone`, which is not there any more. */
export const KEY_WAITS_NOT = '(attribute_not_exists(waits) OR waits = :gone)';
/** The key waits at this very place. */
export const KEY_WAITS = 'waits = :ticket';

/** The place in the line is as it was read: its caller has not called since. */
export const IS_UNCHANGED_PLACE = 'alive_until_ms = :alive';

/**
 * The line and the pool speak of each other by one record, which both sides write:
 *
 *     joining      `seq` grows        only while `frees` is as it was before the pool was found empty
 *     freeing      `frees` grows      only while `seq` is as it was before the line was found to have nobody for it
 *
 * So no sandbox ever is free beside a place that it fits: whichever of the two comes second fails, and looks again.
 */
export const LINE_IS_NEW = 'attribute_not_exists(pk)';
export const LINE_IS_AS_SEEN = 'seq = :seq AND frees = :frees';
export const NOBODY_HAS_JOINED = 'attribute_not_exists(pk) OR seq = :seq';

/** The idempotency key still belongs to the lease that ends. */
export const KEY_IS_OF_LEASE = 'lease_id = :lease';
/** Of a key with several leases, whose `lease_id` stands for all of them. */
export const KEY_HAS_OTHER_LEASES = `${KEY_IS_OF_LEASE} AND live_leases > :one`;
export const KEY_HAS_ONE_LEASE_LEFT = `${KEY_IS_OF_LEASE} AND live_leases = :one`;
export const KEY_ENDS_BEFORE = `${KEY_IS_OF_LEASE} AND expires_at < :over`;

/**
 * A loop's turn can be had. Times are epoch milliseconds.
 *
 *     taken ──renewed──renewed──▶ until          a run is under way, nobody else may start
 *     started ───────────▶ next_run_at           the interval is served, no other replica need run
 */
export const TURN_IS_FREE = '(attribute_not_exists(pk) OR until_ms < :now)';
export const TURN_IS_FREE_AND_DUE = `${TURN_IS_FREE} AND (attribute_not_exists(next_run_at_ms) OR next_run_at_ms <= :now)`;
export const TURN_IS_MINE = 'fence = :fence AND holder = :holder';

/** The queue's clock may be set to `:now`: it never goes back. */
export const CLOCK_IS_PAST = 'attribute_not_exists(pk) OR clock_ms < :now';

/**
 * The job is as it was read, and nobody is at work on it. Times are epoch milliseconds. Aliases `#status`.
 *
 *     pending ──claim──▶ running ──renewed──renewed──▶ lease_until     the worker that has the claim is at work
 *                                                      lease_until ──▶ it is gone: others may claim the job
 */
export const JOB_IS_CLAIMABLE = 'generation = :seen AND (#status = :pending OR lease_until_ms < :now)';
export const JOB_IS_MINE = 'claim_id = :claim AND #status = :running';

/**
 * The counters are of the slot at hand, so that all they hold counts; and there is room for what is added to `:before`.
 *
 *     ┆ slot ┆ … ┆ newest_slot ┆     in_window: the sum over these slots
 */
export const QUOTA_IS_OF_SLOT = 'slot_ms = :slotMs AND newest_slot = :slot';
export const QUOTA_HAS_ROOM = `${QUOTA_IS_OF_SLOT} AND in_window <= :before`;
export const QUOTA_IS_UNCHANGED = 'revision_no = :seen';

/** No later word on a limit has been spoken. Epoch milliseconds. */
export const LIMIT_IS_OLDER = 'attribute_not_exists(pk) OR changed_at_ms < :now';

/**
 * An effect may be carried out: nobody has begun, it failed, its holder went silent, or the record's time is over.
 * Aliases `#state`, `#ttl`.
 *
 *     taken ── run ── lease_until_ms ──▶ anybody may take over, and asks the far side first whether it happened
 */
export const EFFECT_IS_FREE =
  'attribute_not_exists(pk) OR #state = :failed OR (#state = :in_progress AND lease_until_ms < :now) OR #ttl < :now_seconds';
export const EFFECT_IS_MINE = '#owner = :owner AND fence = :fence';

/**
 * A keyed request of an operator may be carried out. Times are epoch milliseconds. Aliases `#state`.
 *
 *     begun ──renewed──renewed──▶ lease_until     somebody is at it
 *           lease_until ─────────────────────▶    whoever began it is gone: the same request may begin again
 *     done  ──── the answer is repeated ─────▶ expires_at ──▶ the key is free again, for any request
 */
export const REQUEST_MAY_BEGIN =
  'attribute_not_exists(pk) OR (#state = :done AND expires_at_ms <= :now) OR (lease_until_ms < :now AND (fingerprint = :fingerprint OR expires_at_ms <= :now))';
export const ANSWER_IS_MINE_TO_GIVE = 'attempt = :attempt AND #state = :under_way';

/** What is published was counted earlier, and nothing has been added to it since it was looked at. Epoch milliseconds. */
export const COUNTS_ARE_AS_SEEN =
  'attribute_not_exists(pk) OR (as_of_ms < :asOf AND (additions = :additions OR (attribute_not_exists(additions) AND :additions = :none)))';

/** What is published was counted at this very time. Epoch milliseconds. */
export const COUNTS_ARE_OF = 'as_of_ms = :asOf';

/** What is noted of the pool is from an earlier count. Epoch milliseconds. */
export const LEVEL_IS_OLDER_OR_NEW = 'attribute_not_exists(pk) OR as_of_ms < :asOf';

/** Its time is over, and TTL has not taken it yet. Aliases `#ttl`, because `ttl` is a reserved word. */
export const IS_EXPIRED = '#ttl < :now';
