/** A wait may be longer than the limit for a call by this factor, however busy the store is with others. */
const WAITS_AT_MOST = 3;

/** The time limit of one call, its wait for a turn included. */
export interface CallLimit {
  readonly signal: AbortSignal;
  /** The call has its turn: from here on nobody else's answers give it more time … */
  sent(): void;
  /** … until it waits for another one, to be tried again. */
  waits(): void;
  /** Frees the timer and the listener. */
  clear(): void;
}

/** How long the calls to one store may take. */
export interface Patience {
  /** The store has answered some call. */
  answered(): void;
  /** The limit of a call that is made now; it ends with `parent`, too. */
  limit(parent?: AbortSignal): CallLimit;
}

/**
 * A call that waits for its turn is patient for as long as the store answers others: a busy store is no dead one, and
 * whoever is in a hurry says so by `parent`.
 *
 *     called ──── waiting, others are answered ────▶ sent ── no answer ──▶ ends
 *                                               └─────── totalMs ────────┘
 *     called ──── waiting, nobody is answered ─────▶ ends
 *     └────────────────── totalMs ─────────────────┘
 */
export function createPatience(totalMs: number): Patience {
  let answeredAtMs = Number.NEGATIVE_INFINITY;

  return {
    answered() {
      answeredAtMs = performance.now();
    },

    limit(parent) {
      const controller = new AbortController();
      const abort = () => controller.abort();
      const calledAtMs = performance.now();
      /** The last sign of life that counts for this call; undefined while every one does. */
      let lastSignMs: number | undefined;
      let timer: NodeJS.Timeout | undefined;
      const watch = () => {
        const sinceMs = Math.max(calledAtMs, lastSignMs ?? answeredAtMs);
        const waitEndsAtMs = calledAtMs + WAITS_AT_MOST * totalMs;
        const endsAtMs =
          lastSignMs === undefined ? Math.min(sinceMs + totalMs, waitEndsAtMs) : sinceMs + totalMs;
        const leftMs = endsAtMs - performance.now();
        if (leftMs > 0) timer = setTimeout(watch, leftMs);
        else abort();
      };
      watch();
      if (parent?.aborted) abort();
      parent?.addEventListener('abort', abort, { once: true });
      return {
        signal: controller.signal,
        sent() {
          lastSignMs = answeredAtMs;
        },
        waits() {
          lastSignMs = undefined;
        },
        clear() {
          clearTimeout(timer);
          parent?.removeEventListener('abort', abort);
        },
      };
    },
  };
}
