import type { Clock } from '../../clock.ts';
import { ClockOffError } from '../../domain/errors.ts';

/** A replica whose clock is further off the store's than this decides nothing by it. */
export const MAX_CLOCK_OFFSET_MS = 30_000;
/** A `Date` is cut to whole seconds: what the store meant is anything from then to so much later. */
const DATE_RESOLUTION_MS = 999;

/** What is known of the store's clock, by the `Date` of its answers. Moments of calls are on the monotonic clock. */
export interface StoreTime {
  /** A call was answered, with this `Date` header or with none. */
  observe(date: string | undefined, sentMs: number, answeredMs: number): void;
  /**
   * How far a clock that shows `nowMs` at this moment is ahead of the store's at the least, milliseconds; negative:
   * behind. 0: no difference can be told. Undefined: the store has never said what time it is.
   */
  offsetMs(nowMs: number): number | undefined;
}

/**
 * Carries the store's last `Date` on by the monotonic clock, so that a wall clock that jumps is known to be off at once,
 * and not only with the next answer:
 *
 *     sent ────────── the store writes its Date ────────── answered ──── now
 *     at the latest it is  Date + 999 ms + (now - sent),  at the earliest  Date + (now - answered)
 *
 * Where the monotonic clock stood still with a suspended machine, that lasts until the next answer.
 */
export function createStoreTime(): StoreTime {
  /** The store's clock minus the monotonic one. */
  let known: { earliestMs: number; latestMs: number } | undefined;
  return {
    observe(date, sentMs, answeredMs) {
      const dateMs = Date.parse(date ?? '');
      if (Number.isNaN(dateMs)) return;
      known = { earliestMs: dateMs - answeredMs, latestMs: dateMs + DATE_RESOLUTION_MS - sentMs };
    },
    offsetMs(nowMs) {
      if (!known) return undefined;
      const byMonotonicMs = nowMs - performance.now();
      return Math.max(0, byMonotonicMs - known.latestMs) + Math.min(0, byMonotonicMs - known.earliestMs);
    },
  };
}

/** Whether a clock is too far off to decide anything by it. */
export const isOff = (offsetMs: number | undefined): boolean =>
  offsetMs !== undefined && Math.abs(offsetMs) > MAX_CLOCK_OFFSET_MS;

/**
 * `clock` for whatever is decided by time and kept in the store: ends of leases, claims, turns, keys, what is due. Reading
 * it throws {@link ClockOffError} while it is off the store's, so that nothing can be decided by a wrong time. A store
 * that never says its time is trusted to have the same one.
 */
export function trustedClock(clock: Clock, { time }: { time: StoreTime | undefined }): Clock {
  if (!time) return clock;
  return {
    nowMs() {
      const nowMs = clock.nowMs();
      if (isOff(time.offsetMs(nowMs))) throw new ClockOffError();
      return nowMs;
    },
  };
}

/** `clock` for what is only told and not decided by: put right, as far as the store's is known, while it is off. */
export function correctedClock(clock: Clock, { time }: { time: StoreTime | undefined }): Clock {
  return {
    nowMs() {
      const nowMs = clock.nowMs();
      const offsetMs = time?.offsetMs(nowMs);
      return offsetMs !== undefined && isOff(offsetMs) ? Math.round(nowMs - offsetMs) : nowMs;
    },
  };
}
