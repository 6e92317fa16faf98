/** A sign of life given by making progress, not by a timer of its own. Times are on the monotonic clock. */
export interface Heartbeat {
  /** Progress was made. */
  beat(): void;
  /** Milliseconds since the last beat; undefined before the first. */
  ageMs(): number | undefined;
  readonly totalBeats: number;
}

export function createHeartbeat(monotonicMs: () => number = () => performance.now()): Heartbeat {
  let lastMs: number | undefined;
  let totalBeats = 0;
  return {
    beat() {
      lastMs = monotonicMs();
      totalBeats++;
    },
    ageMs: () => (lastMs === undefined ? undefined : monotonicMs() - lastMs),
    get totalBeats() {
      return totalBeats;
    },
  };
}
