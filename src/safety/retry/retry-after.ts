import { systemClock } from '../../clock.ts';

/** Who asks for more patience than a day is not believed: loops come round again before that. */
const MAX_RETRY_AFTER_MS = 24 * 3600 * 1000;

/**
 * Milliseconds to wait by a `Retry-After` header, in seconds or as an HTTP date (RFC 9110 §10.2.3), 0 to one day;
 * `undefined` where there is none to understand. A date counts from `date`, the answer's own `Date`: clocks differ.
 */
export function readRetryAfterMs(value: string | undefined, date: string | undefined): number | undefined {
  const text = value?.trim() ?? '';
  let waitMs: number;
  if (/^\d+$/.test(text)) {
    waitMs = Number(text) * 1000;
  } else if (/^[A-Z][a-z]+, .* GMT$/.test(text)) {
    const sentAtMs = Date.parse(date ?? '');
    waitMs = Date.parse(text) - (Number.isNaN(sentAtMs) ? systemClock.nowMs() : sentAtMs);
  } else {
    return undefined;
  }
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}
