/*
 * Loaded before a broker (`--import`), it lets that process's wall clock run faster, so that what takes minutes, such as
 * taking over from a dead replica, takes seconds. Timers and deadlines keep the real pace: a broker under it has less
 * time for what it does than it would have, never more.
 */

/** Brokers started with this environment have the clock of {@link fastClock}, or one that is so far ahead of it. */
export const fastClockEnv = (rate: number, originMs: number, aheadMs = 0): Record<string, string> => ({
  NODE_OPTIONS: `--import=${import.meta.url}`,
  FAST_CLOCK: `${rate},${originMs},${aheadMs}`,
});

/** A clock that shows `originMs` then and runs `rate` times as fast since. Every process computes the same one. */
export function fastClock(rate: number, originMs: number, aheadMs = 0): () => number {
  const realNow = Date.now;
  return () => Math.floor(originMs + (realNow() - originMs) * rate + aheadMs);
}

const settings = process.env['FAST_CLOCK'];
if (settings !== undefined) {
  const [rate = 1, originMs = 0, aheadMs = 0] = settings.split(',').map(Number);
  Date.now = fastClock(rate, originMs, aheadMs);
  // To such a clock what a store's `Date` header says means nothing: as if there were none.
  const realParse = Date.parse;
  Date.parse = (text) => (text.endsWith(' GMT') ? Number.NaN : realParse(text));
}
