/** How far apart calls to one place are sent, as the store's refusals say. */
export interface Pace<Place> {
  /** False while the place is short of room: it has refused something, and not taken enough since. */
  isWell(place: Place): boolean;
  /** Milliseconds until the next call to the place may be sent; 0: now. */
  waitMs(place: Place): number;
  /** A call to the place is sent now. */
  sent(place: Place): void;
  /** The call that was sent at `sentAtMs` (`performance.now()`) was carried out there. */
  carriedOut(place: Place, sentAtMs: number): void;
  /** The place had no room for the call that was sent at `sentAtMs`. */
  refused(place: Place, sentAtMs: number): void;
}

const FIRST_GAP_MS = 50;
const LONGEST_GAP_MS = 1_000;
/** Below this a gap does not matter, and the place is well. */
const SHORTEST_GAP_MS = 8;
const WIDEN = 2;
const NARROW = 0.85;
/** A place that nobody tried for so long is like every other. */
const FORGOTTEN_AFTER_MS = 3_000;

interface Gap {
  ms: number;
  /** Calls sent before this say nothing about the gap. */
  changedAtMs: number;
  nextAtMs: number;
}

/**
 * Finds a pace that a place can keep up with: twice the gap between calls for a refusal, and a little less for each call
 * that is carried out. Of the calls that were under way together only the first refusal counts.
 *
 *     sent ── refused ─── gap ───▶ sent ─ gap ─▶ sent ─ gap ▶ …
 *
 * Without it everybody would come again at the same moment, again too many for what is there.
 */
export function createPace<Place>(): Pace<Place> {
  const gaps = new Map<Place, Gap>();

  function gapOf(place: Place): Gap | undefined {
    const gap = gaps.get(place);
    if (gap && performance.now() - gap.nextAtMs > FORGOTTEN_AFTER_MS) {
      gaps.delete(place);
      return undefined;
    }
    return gap;
  }

  return {
    isWell: (place) => gapOf(place) === undefined,

    waitMs: (place) => Math.max(0, (gapOf(place)?.nextAtMs ?? 0) - performance.now()),

    sent(place) {
      const gap = gapOf(place);
      if (gap) gap.nextAtMs = performance.now() + gap.ms;
    },

    carriedOut(place, sentAtMs) {
      const gap = gapOf(place);
      if (!gap || sentAtMs < gap.changedAtMs) return;
      gap.ms *= NARROW;
      if (gap.ms < SHORTEST_GAP_MS) gaps.delete(place);
    },

    refused(place, sentAtMs) {
      const gap = gapOf(place);
      if (gap && sentAtMs < gap.changedAtMs) return;
      const nowMs = performance.now();
      const ms = Math.min(LONGEST_GAP_MS, gap ? gap.ms * WIDEN : FIRST_GAP_MS);
      // Replicas that were refused at the same moment don't come again at the same one.
      gaps.set(place, { ms, changedAtMs: nowMs, nextAtMs: nowMs + ms * (0.75 + Math.random() / 2) });
    },
  };
}
