import { pause } from '../../time-limit.ts';

/** A sign of life given by making progress, not by a timer of its own. Times are on the monotonic clock. */
export interface Heartbeat {
  /** Whoever gives it has been started and not stopped. */
  readonly isRunning: boolean;
  begin(): void;
  /** Progress was made. */
  beat(): void;
  end(): void;
  /** Milliseconds since the last beat; undefined before the first. */
  ageMs(): number | undefined;
  readonly totalBeats: number;
}

export function createHeartbeat(monotonicMs: () => number = () => performance.now()): Heartbeat {
  let isRunning = false;
  let lastMs: number | undefined;
  let totalBeats = 0;
  const beat = () => {
    lastMs = monotonicMs();
    totalBeats++;
  };
  return {
    get isRunning() {
      return isRunning;
    },
    begin() {
      isRunning = true;
      beat();
    },
    beat,
    end() {
      isRunning = false;
    },
    ageMs: () => (lastMs === undefined ? undefined : monotonicMs() - lastMs),
    get totalBeats() {
      return totalBeats;
    },
  };
}

/** Rests for `ms`, or less when `signal` fires, and beats every `everyMs`: to wait for its time is a loop's progress. */
export async function restBeating(
  ms: number,
  { heartbeat, everyMs, signal }: { heartbeat: Heartbeat; everyMs: number; signal: AbortSignal },
): Promise<void> {
  const untilMs = performance.now() + ms;
  for (let leftMs = ms; leftMs > 0 && !signal.aborted; leftMs = untilMs - performance.now()) {
    await pause(Math.min(leftMs, everyMs), signal);
    heartbeat.beat();
  }
}
