import { setTimeout as delay } from 'node:timers/promises';

/** Why a signal of {@link limitTime} fired, where nobody gave up and only the time was over. */
class TimeIsUp extends DOMException {
  constructor() {
    super('the time is up', 'AbortError');
  }
}

/** Whether the signal fired because somebody gave up, and not because a time was over. */
export const isGivenUp = ({ aborted, reason }: AbortSignal): boolean =>
  aborted && !(reason instanceof TimeIsUp) && !(reason instanceof Error && reason.name === 'TimeoutError');

/** A signal that fires after `ms` or with `parent`, whichever is first. `clear` frees the timer and the listener. */
export function limitTime(ms: number, parent?: AbortSignal): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  const abort = () => controller.abort(parent && isGivenUp(parent) ? undefined : new TimeIsUp());
  const timer = setTimeout(abort, ms);
  if (parent?.aborted) abort();
  parent?.addEventListener('abort', abort, { once: true });
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer);
      parent?.removeEventListener('abort', abort);
    },
  };
}

/** `work`, or the signal's reason as soon as it fires: for work that may sit in a queue and cannot notice. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Waits for `ms`, or less when `signal` fires. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
