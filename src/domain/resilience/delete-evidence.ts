/*
 * What the deletes of a replica say about the provider, as pure functions over one record. A single failure says little: it
 * may be the sandbox's own. So whoever is about to conclude from failures asks for another sandbox first, alone, from
 * another place in the queue, and one that goes through clears them all:
 *
 *   failures in a row ──as many as the rule says──▶ another one, asked in doubt ──fails, too──▶ the provider is down
 *
 * A sandbox counts once, by its last outcome. Times are epoch milliseconds.
 */

export interface EvidenceRules {
  /** Sandboxes that fail in a row, none going through in between. */
  failures: number;
  /** The part of those asked for within `windowMs`, from (0, 1], that fails; of `atLeast` or more. */
  share: number;
  atLeast: number;
  windowMs: number;
}

export interface Evidence {
  /** Failed since one last went through. */
  inARow: ReadonlySet<string>;
  /** The last outcome of each sandbox within the window, the oldest first; of the latest 200 or `atLeast`. */
  recent: ReadonlyMap<string, { atMs: number; failed: boolean }>;
  /** Until then it is known that many fail of their own: the queue has rested for that a window ago or less. */
  knownUntilMs?: number | undefined;
}

/** So many tell as much about a share as all do, and are looked through with each outcome. */
const MOST_RECENT = 200;

export const NO_EVIDENCE: Evidence = { inARow: new Set(), recent: new Map() };

/** Two that say so are enough where the provider says itself that it serves nobody. */
const ENOUGH_REFUSED = 2;
/** Where many fail of their own, several in a row are chance: so many times as many are not. */
const WHERE_MANY_FAIL = 2;

/** Checks what a program has made up. Throws a `RangeError` for rules that cannot be meant. */
export function checkEvidenceRules({ failures, share, atLeast, windowMs }: EvidenceRules): void {
  if (!(Number.isSafeInteger(failures) && failures > 0))
    throw new RangeError(`failures must be a whole number >= 1, not ${failures}`);
  if (!(share > 0 && share <= 1)) throw new RangeError(`share must be > 0 and <= 1, not ${share}`);
  if (!(Number.isSafeInteger(atLeast) && atLeast > 0))
    throw new RangeError(`atLeast must be a whole number >= 1, not ${atLeast}`);
  if (!(windowMs > 0)) throw new RangeError(`windowMs must be > 0, not ${windowMs}`);
}

/** The evidence with one more outcome. */
export function withOutcome(
  { inARow, recent, knownUntilMs }: Evidence,
  { sandboxId, failed, atMs }: { sandboxId: string; failed: boolean; atMs: number },
  { windowMs, atLeast }: EvidenceRules,
): Evidence {
  const inWindow = [...recent]
    .filter(([id, one]) => id !== sandboxId && one.atMs > atMs - windowMs)
    .slice(1 - Math.max(MOST_RECENT, atLeast));
  return {
    inARow: failed ? new Set([...inARow, sandboxId]) : new Set(),
    recent: new Map([...inWindow, [sandboxId, { atMs, failed }]]),
    knownUntilMs,
  };
}

/** Nothing has gone through since something failed: the next one is to be asked for alone. */
export const isInDoubt = ({ inARow }: Evidence): boolean => inARow.size > 0;

/**
 * What follows from the evidence after a failure. `refused`: the provider serves nobody, by its own word; `isLast`: it was
 * asked in doubt, or there is nobody else to ask.
 */
export function conclusion(
  { inARow, recent, knownUntilMs = 0 }: Evidence,
  { refused, isLast }: { refused: boolean; isLast: boolean },
  { failures, share, atLeast }: EvidenceRules,
): 'down' | 'half_failing' | undefined {
  const outcomes = [...recent.values()];
  const isKnown = (outcomes.at(-1)?.atMs ?? 0) < knownUntilMs;
  const enough = refused ? Math.min(ENOUGH_REFUSED, failures) : failures;
  if (isLast && inARow.size >= (isKnown ? failures * WHERE_MANY_FAIL : enough)) return 'down';
  const failed = outcomes.filter((one) => one.failed).length;
  return !isKnown && outcomes.length >= atLeast && failed >= outcomes.length * share
    ? 'half_failing'
    : undefined;
}

/**
 * What is left of the evidence once the queue rests: a new beginning. After a rest for a share of failures those that can
 * be deleted get their turn for a window, whatever the others do, before it rests for that again.
 */
export const afterRest = (
  why: 'down' | 'half_failing',
  atMs: number,
  { windowMs }: EvidenceRules,
): Evidence => (why === 'half_failing' ? { ...NO_EVIDENCE, knownUntilMs: atMs + windowMs } : NO_EVIDENCE);

/**
 * The list in an order in which neighbours are far apart, the first one staying the first: by the golden ratio, as evenly
 * spread after any number of them as can be.
 */
export function spread<T>(list: readonly T[]): T[] {
  return list
    .map((item, index) => ({ item, place: (index * GOLDEN_RATIO) % 1 }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}

const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;
