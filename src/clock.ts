/** Wall-clock time, injected so that tests can move it. Delays and deadlines use the real monotonic clock instead. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
}

/** The process's own wall clock. */
export const systemClock: Clock = { nowMs: () => Date.now() };

/** A unique id source (UUIDs in production), injected so that tests can predict ids. */
export type NewId = () => string;
