/** Many more retries than usual, all at once. */
export interface Spike {
  /** In the window so far. */
  retries: number;
  /** Of the last completed windows. */
  mean: number;
}

export interface SpikeReport {
  windowMs: number;
  retries: number;
  /** Absent before the first window is complete. */
  mean?: number;
  completedWindows: number;
  /** Epoch milliseconds. */
  lastSpikeAtMs?: number;
}

export interface SpikeDetector {
  /** A retry was made. Gives the spike that this one completes, once until the cooldown is over. */
  retried(nowMs: number): Spike | undefined;
  report(nowMs: number): SpikeReport;
}

export interface SpikeOptions {
  windowMs: number;
  /** After a spike no other is told of for so long, milliseconds. */
  cooldownMs: number;
  /** When the first window begins, epoch milliseconds. */
  startMs: number;
}

/** More than so many times the usual is a spike … */
const FACTOR = 3;
/** … if the usual is known from at least so many windows, … */
const MIN_WINDOWS = 3;
/** … and it is not just a few. */
const MIN_RETRIES = 10;
/** The usual is the mean of so many windows. */
const MAX_WINDOWS = 12;

/**
 * Compares the window under way with the ones before it:
 *
 *     start ── complete ──┊── complete ──┊── complete ──┊── under way: >= 10 and > 3 × their mean? ──▶
 */
export function createSpikeDetector({ windowMs, cooldownMs, startMs }: SpikeOptions): SpikeDetector {
  if (!(windowMs > 0)) throw new RangeError(`windowMs must be > 0, not ${windowMs}`);
  if (!(cooldownMs >= 0)) throw new RangeError(`cooldownMs must be >= 0, not ${cooldownMs}`);
  let windowStartMs = startMs;
  let retries = 0;
  let completed: number[] = [];
  let lastSpikeAtMs: number | undefined;

  /** Completes the windows whose time is over; the quiet ones in between count, too. */
  function catchUp(nowMs: number): void {
    const over = Math.floor((nowMs - windowStartMs) / windowMs);
    // A clock that was set back completes nothing.
    if (over < 1) return;
    const quiet = Array<number>(Math.min(over - 1, MAX_WINDOWS)).fill(0);
    completed = [...completed, retries, ...quiet].slice(-MAX_WINDOWS);
    windowStartMs += over * windowMs;
    retries = 0;
  }

  const mean = () => completed.reduce((sum, count) => sum + count, 0) / completed.length;

  return {
    retried(nowMs) {
      catchUp(nowMs);
      retries++;
      if (completed.length < MIN_WINDOWS || retries < MIN_RETRIES || !(retries > FACTOR * mean())) {
        return undefined;
      }
      if (lastSpikeAtMs !== undefined && nowMs - lastSpikeAtMs < cooldownMs) return undefined;
      lastSpikeAtMs = nowMs;
      return { retries, mean: mean() };
    },
    report(nowMs) {
      catchUp(nowMs);
      return {
        windowMs,
        retries,
        completedWindows: completed.length,
        ...(completed.length > 0 && { mean: mean() }),
        ...(lastSpikeAtMs !== undefined && { lastSpikeAtMs }),
      };
    },
  };
}
