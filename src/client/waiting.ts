const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;

/**
 * How long to wait before another attempt, milliseconds: doubling from 0.2 s to 5 s, of which a random half is left out
 * ("equal jitter"), and never less than the broker asked for. Callers who were told the same moment spread over it.
 */
export function waitMs(
  failures: number,
  retryAfterSeconds: number | undefined,
  random = Math.random,
): number {
  const step = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1));
  const jittered = step * (0.5 + random() / 2);
  if (retryAfterSeconds === undefined) return jittered;
  return retryAfterSeconds * 1000 + random() * Math.min(step, 1000);
}

/** Seconds of a `Retry-After`: a number, or a date as proxies like it. Undefined for anything else. */
export function readRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value);
  // `Date.parse` takes nearly anything; a date of HTTP ends so.
  const atMs = value.endsWith(' GMT') ? Date.parse(value) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, Math.ceil((atMs - nowMs) / 1000));
}

/**
 * A signal that is aborted after `ms`, until it is `clear`ed, or with `signal`, for its reason, until that is `letGo`.
 * Not `AbortSignal.any` of a time-out: Node 18 has none, and a signal that lives on would hold every call's.
 */
export function limitTime(ms: number, signal: AbortSignal | undefined) {
  const controller = new AbortController();
  const abandon = () => controller.abort(signal?.reason);
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${ms} ms`)), ms);
  signal?.addEventListener('abort', abandon);
  return {
    signal: controller.signal,
    clear: () => clearTimeout(timer),
    letGo: () => signal?.removeEventListener('abort', abandon),
  };
}

/**
 * Waits, or throws the signal's reason as soon as it is aborted.
 * @param hold Whether a process waits for it to end; not for what only goes on in the background.
 */
export function pause(ms: number, signal: AbortSignal, hold = true): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abandon = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abandon);
      resolve();
    }, ms);
    if (!hold) letGo(timer);
    signal.addEventListener('abort', abandon, { once: true });
  });
}

/** In Node a timer keeps its process up unless it is told not to; in browsers it is a number. */
function letGo(timer: unknown): void {
  if (typeof timer === 'object' && timer !== null && 'unref' in timer && typeof timer.unref === 'function') {
    timer.unref();
  }
}
