import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 10;
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
  const deadlineMs = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value) return value;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause });
    }
    await delay(POLL_MS);
  }
}
