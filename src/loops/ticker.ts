import { pause } from '../time-limit.ts';

/** A small chore that every replica does for itself, over and over: no turn, no report. */
export interface Ticker {
  /** Idempotent. */
  start(): void;
  /** Awaits the chore under way. Idempotent. */
  stop(): Promise<void>;
}

/** Runs `chore` every `intervalMs` from `start()` on, the first time after one interval. `onError` is told of failures. */
export function createTicker(
  intervalMs: number,
  chore: (signal: AbortSignal) => Promise<void>,
  onError: (error: unknown) => void,
): Ticker {
  let stopping = new AbortController();
  let ticking: Promise<void> | undefined;

  async function tickForever(signal: AbortSignal): Promise<void> {
    for (;;) {
      await pause(intervalMs, signal);
      if (signal.aborted) return;
      try {
        await chore(signal);
      } catch (error) {
        if (!signal.aborted) onError(error);
      }
    }
  }

  return {
    start() {
      if (ticking !== undefined) return;
      stopping = new AbortController();
      ticking = tickForever(stopping.signal);
    },
    async stop() {
      stopping.abort();
      await ticking;
      ticking = undefined;
    },
  };
}
