import pLimit from 'p-limit';

const FEWEST_CALLS = 4;
/** Where it starts, before anything is known of the store. */
const FIRST_CALLS = 16;

/** How many calls may be under way at once, as the store's own pace says; more wait their turn. */
export interface CongestionLimit {
  /** Makes the call in its turn; `kind`: which others take as long as this one. */
  run<T>(kind: string, call: () => Promise<T>): Promise<T>;
  /** Calls that may be under way at this moment. */
  readonly width: number;
}

/**
 * Finds the width as TCP does: one more for each call that ended well and in time, half as many when one takes `slowMs`
 * or more. Of the calls that were under way together only the first slow one counts. One that was overtaken, by a call of its
 * kind that was sent later and answered in time, says nothing about the store's pace: its answer was lost.
 *
 * Without it, replicas whose callers outnumber what the store can do within a call's time limit would give up on calls
 * that the store then carries out for nobody, and send them again: the busier it is, the less gets done.
 *
 * Throws RangeError for a `max` below 1 or a `slowMs` that is not above 0.
 */
export function createCongestionLimit({ max, slowMs }: { max: number; slowMs: number }): CongestionLimit {
  if (!(max >= 1)) throw new RangeError(`max must be >= 1, not ${max}`);
  if (!(slowMs > 0)) throw new RangeError(`slowMs must be > 0, not ${slowMs}`);
  const limit = pLimit(Math.min(max, FIRST_CALLS));
  let narrowedAtMs = Number.NEGATIVE_INFINITY;
  /** Of each kind, when the latest call was sent that was answered in time. */
  const quickFromMs = new Map<string, number>();

  function learn(kind: string, startedMs: number, endedWell: boolean): void {
    const endedMs = performance.now();
    const latestQuickMs = quickFromMs.get(kind) ?? Number.NEGATIVE_INFINITY;
    if (endedMs - startedMs >= slowMs) {
      if (startedMs < Math.max(narrowedAtMs, latestQuickMs)) return;
      narrowedAtMs = endedMs;
      limit.concurrency = Math.max(Math.min(max, FEWEST_CALLS), Math.floor(limit.concurrency / 2));
    } else if (endedWell) {
      quickFromMs.set(kind, Math.max(startedMs, latestQuickMs));
      if (limit.pendingCount > 0) limit.concurrency = Math.min(max, limit.concurrency + 1);
    }
  }

  return {
    run: (kind, call) =>
      limit(async () => {
        const startedMs = performance.now();
        let endedWell = false;
        try {
          const answer = await call();
          endedWell = true;
          return answer;
        } finally {
          learn(kind, startedMs, endedWell);
        }
      }),
    get width() {
      return limit.concurrency;
    },
  };
}
