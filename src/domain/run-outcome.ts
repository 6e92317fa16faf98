/**
 * How a loop's run ended. `refused`: it left undone what it did not believe, or what a strict dry
 * run locks. `aborted`: it was told to
 * stop, and left the rest to the next one. `skipped`: another replica has the turn, or has served the interval already.
 */
export const RUN_OUTCOMES = ['success', 'refused', 'error', 'aborted', 'skipped'] as const;
export type RunOutcome = (typeof RUN_OUTCOMES)[number];

/** How a run that came to its end went, by what it counted. */
export const outcomeOf = ({ stale_refused: refused = 0 }: Readonly<Record<string, number>>) =>
  refused > 0 ? 'refused' : 'success';
