/**
 * How a loop's run ended. `partial`: it came to its end, and something in it failed, which is tried again. `refused`: it left
 * undone what it did not believe, or what a strict dry run locks. `aborted`: it was told to stop, and left the rest to the
 * next one. `skipped`: another replica has the turn, or has served the interval already.
 */
export const RUN_OUTCOMES = ['success', 'partial', 'refused', 'error', 'aborted', 'skipped'] as const;
export type RunOutcome = (typeof RUN_OUTCOMES)[number];

/** How a run that came to its end went, by what it counted. */
export function outcomeOf({ stale_refused: refused = 0, failed = 0 }: Readonly<Record<string, number>>) {
  if (refused > 0) return 'refused';
  return failed > 0 ? 'partial' : 'success';
}
