import { setTimeout as delay } from 'node:timers/promises';

/** Between two looks: a tenth of what has been waited so far, so that nobody is kept busy by being asked. */
const POLL_MS = { first: 10, longest: 100 };
/** Nothing on a machine to itself comes near it, and one that is busy proves nothing by being slow. */
const PATIENCE_MS = 20_000;

/**
 * Polls until `check` gives something truthy, and gives it back. A check that throws is one that failed; the last
 * error becomes the cause.
 *
 * @throws Error naming `what` did not happen within `timeoutMs`
 */
export async function until<T>(
  check: () => T | Promise<T>,
  { timeoutMs = PATIENCE_MS, what }: { timeoutMs?: number; what: string },
): Promise<NonNullable<T>> {
  const startedMs = performance.now();
  let cause: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value) return value;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    const waitedMs = performance.now() - startedMs;
    if (waitedMs > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause });
    await delay(Math.min(Math.max(waitedMs / 10, POLL_MS.first), POLL_MS.longest));
  }
}
