import type { Forecast } from '../../domain/line.ts';

/** How fast the line moves, from looks at its head. */
export interface LinePace {
  /** The tickets at the head, at this moment of the monotonic clock, or of all the line. */
  note(atMs: number, tickets: readonly string[]): void;
  /** How many places it has gone forward, and in which time: only what was looked at counts. */
  served(): Forecast['served'];
}

const HEAD = 100;
const WINDOW_MS = 900_000;
/** Of what happened between looks that are further apart nothing is known. */
const LONGEST_GAP_MS = 15_000;

export function createLinePace(): LinePace {
  let last: { atMs: number; tickets: readonly string[] } | undefined;
  let advances: { atMs: number; places: number; withinMs: number }[] = [];

  return {
    note(atMs, tickets) {
      if (last && last.atMs >= atMs) return;
      const withinMs = last ? atMs - last.atMs : Number.POSITIVE_INFINITY;
      if (last && withinMs <= LONGEST_GAP_MS) {
        const still = new Set(tickets);
        const places = last.tickets.filter((ticket) => !still.has(ticket)).length;
        advances = advances.filter((each) => atMs - each.atMs < WINDOW_MS);
        advances.push({ atMs, places, withinMs });
      }
      last = { atMs, tickets: tickets.slice(0, HEAD) };
    },

    served: () => ({
      places: advances.reduce((sum, { places }) => sum + places, 0),
      withinMs: advances.reduce((sum, { withinMs }) => sum + withinMs, 0),
    }),
  };
}
