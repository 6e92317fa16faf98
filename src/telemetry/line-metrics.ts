import type { createInstruments } from './instruments.ts';
import { PLACE_ENDINGS, type PlaceEnding } from './metric-labels.ts';

/** The part of the metrics that tells of the line. */
export interface LineMetrics {
  /** What the line was like when this replica last looked at it. */
  line(look: { length: number; oldestSeconds: number }): void;
  /** A place has ended so, so many seconds after it was taken. */
  placeEnded(ending: PlaceEnding, seconds: number): void;
}

const WAIT_BUCKETS = [1, 5, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400];

export function createLineMetrics({ gauge, histogram }: ReturnType<typeof createInstruments>): LineMetrics {
  const length = gauge('broker_line_length', 'Callers in the line, as this replica last saw it');
  const oldest = gauge('broker_line_oldest_seconds', 'How long the one that has waited longest has waited');
  const waits = histogram('broker_line_wait_seconds', 'Time from joining the line to its end', WAIT_BUCKETS, {
    outcome: PLACE_ENDINGS,
  });
  return {
    line(look) {
      length.set({}, look.length);
      oldest.set({}, look.oldestSeconds);
    },
    placeEnded: (outcome, seconds) => waits.observe({ outcome }, seconds),
  };
}
