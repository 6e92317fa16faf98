import type { RunCounts } from './run.ts';

/**
 * How long after a run the next one is to come, milliseconds, because of what it has left by its counts; undefined: by
 * the interval. `inARow`: how many runs before it came so.
 */
export type ComeBack = (counts: RunCounts, inARow: number) => number | undefined;

/** After a run that has left something: soon, and twice as late each time. */
export const soonAgain =
  (afterMs: number): ComeBack =>
  ({ recent = 0, skipped = 0, failed = 0 }, inARow) =>
    recent + skipped + failed > 0 ? afterMs * 2 ** inARow : undefined;

/** A timer may be a little ahead of the clock by which a rest ends. */
const MARGIN_MS = 100;

/** After a run that has left something because its calls rest: when the rest is over, `restMs` from now. */
export const whenRested =
  (restMs: () => number | undefined): ComeBack =>
  ({ skipped = 0, failed = 0 }) => {
    const leftMs = skipped + failed > 0 ? restMs() : undefined;
    return leftMs === undefined ? undefined : leftMs + MARGIN_MS;
  };
