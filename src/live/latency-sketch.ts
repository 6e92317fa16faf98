/** Durations of a stretch of time, in bounded memory. */
export interface LatencySketch {
  /** Seconds, >= 0. */
  add(seconds: number): void;
  readonly count: number;
  /** Its content by class, for {@link percentileMs}. */
  readonly classes: ReadonlyMap<number, number>;
}

/** Each class is a tenth wider than the one before: a percentile is at most 5 % off. */
const GROWTH = 1.1;
const SMALLEST_MS = 0.1;
/** Beyond a quarter of an hour nothing is told apart; it bounds the number of classes. */
const LARGEST_CLASS = 170;

export function createLatencySketch(): LatencySketch {
  const classes = new Map<number, number>();
  let count = 0;
  return {
    add(seconds) {
      const steps = Math.ceil(Math.log((seconds * 1000) / SMALLEST_MS) / Math.log(GROWTH));
      const index = Math.min(Math.max(steps, 0), LARGEST_CLASS);
      classes.set(index, (classes.get(index) ?? 0) + 1);
      count++;
    },
    get count() {
      return count;
    },
    classes,
  };
}

/** The `part` percentile (0 to 1) of several sketches together, milliseconds; undefined without a duration. */
export function percentileMs(sketches: readonly LatencySketch[], part: number): number | undefined {
  const total = sketches.reduce((sum, sketch) => sum + sketch.count, 0);
  if (total === 0) return undefined;
  const indexes = [...new Set(sketches.flatMap(({ classes }) => [...classes.keys()]))].sort((a, b) => a - b);
  let left = Math.ceil(total * part);
  for (const index of indexes) {
    for (const { classes } of sketches) left -= classes.get(index) ?? 0;
    // The middle of the class, which reaches from a tenth below its end to its end.
    if (left <= 0) return SMALLEST_MS * GROWTH ** (index - 0.5);
  }
  return undefined;
}
