/** How long calls to the store may take, as the store's own answers say. Moments are on the monotonic clock. */
export interface AnswerTimes {
  /** The limit for a call of this kind that is sent now, milliseconds. */
  limitMs(kind: string): number;
  /** A call of this kind was answered, whatever the answer. */
  answered(kind: string, sentAtMs: number): void;
  /** A call of this kind got no answer: it took too long, or broke off. */
  unanswered(kind: string, sentAtMs: number): void;
}

/** A limit is so many times the longest that a call took lately: nothing but a lost answer takes that long. */
const MARGIN = 4;
/** Of each kind. The longest of so many is their 99th percentile, or a little more. */
const KEPT = 100;
/** With fewer nothing is known. */
const ENOUGH = 10;

interface Times {
  ms: number[];
  /** Where the next one goes. */
  next: number;
  /** When the latest call was sent that was answered. */
  answeredFromMs: number;
  isSilent: boolean;
}

/**
 * Gives calls the time that their kind needs: four times the longest that one of the last hundred took, from `shortestMs` to
 * `longestMs`. So a lost answer is felt as short as the store allows, and a store that is slow is not asked for the same again
 * while it is at it. From 1 s to 3 s:
 *
 *     all were answered within 250 ms     1 s
 *     within 500 ms                       2 s
 *     one took 750 ms or more             3 s, for the next hundred
 *     fewer than ten were answered        3 s
 *     one was not, nor was a later one    3 s, until one is: the store may be slow for all of a sudden
 *
 * Throws RangeError for a `shortestMs` that is not above 0, or is above `longestMs`.
 */
export function createAnswerTimes({
  shortestMs,
  longestMs,
}: {
  shortestMs: number;
  longestMs: number;
}): AnswerTimes {
  if (!(shortestMs > 0 && shortestMs <= longestMs)) {
    throw new RangeError(`shortestMs must be > 0 and at most ${longestMs}, not ${shortestMs}`);
  }
  const kinds = new Map<string, Times>();

  function timesOf(kind: string): Times {
    const known = kinds.get(kind);
    if (known) return known;
    const times = { ms: [], next: 0, answeredFromMs: Number.NEGATIVE_INFINITY, isSilent: false };
    kinds.set(kind, times);
    return times;
  }

  return {
    limitMs(kind) {
      const { ms, isSilent } = timesOf(kind);
      if (isSilent || ms.length < ENOUGH) return longestMs;
      return Math.min(longestMs, Math.max(shortestMs, MARGIN * Math.max(...ms)));
    },
    answered(kind, sentAtMs) {
      const times = timesOf(kind);
      times.isSilent = false;
      times.answeredFromMs = Math.max(times.answeredFromMs, sentAtMs);
      times.ms[times.next] = performance.now() - sentAtMs;
      times.next = (times.next + 1) % KEPT;
    },
    unanswered(kind, sentAtMs) {
      const times = timesOf(kind);
      times.isSilent = sentAtMs > times.answeredFromMs;
    },
  };
}
