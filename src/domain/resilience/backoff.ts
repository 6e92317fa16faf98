/** How the waits between the attempts at something grow. */
export interface Backoff {
  /** The first wait, milliseconds, > 0. */
  baseMs: number;
  /** No wait is longer, milliseconds, >= `baseMs`. */
  maxMs: number;
  /** Each wait is so many times the one before, >= 1. */
  multiplier: number;
}

/**
 * The wait after an attempt that failed, milliseconds: `min(base · multiplier^attempt, max)`, times a jitter from
 * [0.5, 1.5), and never more than `max`, the jitter included. Short of the maximum the waits of many callers spread over
 * a whole one, at the maximum over its second half.
 * @param attempt 0 after the first attempt, 1 after the second, …
 * @param random From [0, 1).
 */
export function backoffDelayMs(
  { baseMs, maxMs, multiplier }: Backoff,
  attempt: number,
  random: number,
): number {
  if (!Number.isInteger(attempt) || attempt < 0) {
    throw new RangeError(`attempt must be a whole number >= 0, not ${attempt}`);
  }
  const delayMs = Math.min(baseMs * multiplier ** attempt, maxMs);
  return Math.min(delayMs * (0.5 + random), maxMs);
}

/** Throws a `RangeError` for a backoff that cannot be meant. */
export function checkBackoff({ baseMs, maxMs, multiplier }: Backoff): void {
  if (!(baseMs > 0)) throw new RangeError(`baseMs must be > 0, not ${baseMs}`);
  if (!(maxMs >= baseMs)) throw new RangeError(`maxMs must be >= baseMs (${baseMs}), not ${maxMs}`);
  if (!(multiplier >= 1)) throw new RangeError(`multiplier must be >= 1, not ${multiplier}`);
}
