/**
 * How a call for a side effect that must happen once ended.
 * `result_not_stored`: it happened, but the store does not know; who takes over will ask the far side.
 * `confirmed`: taken over from a crashed owner, and the far side said that it had happened.
 */
export const EFFECT_OUTCOMES = [
  'completed',
  'replayed',
  'confirmed',
  'failed',
  'in_progress',
  'result_not_stored',
] as const;
export type EffectOutcome = (typeof EFFECT_OUTCOMES)[number];

/** The right to carry an effect out. `fence` grows with every holder. */
export interface EffectHold {
  pk: string;
  owner: string;
  fence: number;
  /** Its last holder went silent: nobody knows whether it happened. */
  isTakenOver: boolean;
  /** The end of the right, epoch milliseconds. */
  untilMs: number;
  /** How long it is remembered what became of it, milliseconds. */
  ttlMs: number;
}

/** What taking an effect came to. `result` is the JSON that the effect was completed with. */
export type EffectTaken =
  | { type: 'taken'; hold: EffectHold }
  | { type: 'completed'; result: unknown }
  | { type: 'in_progress'; freeInMs: number };

/** The records of side effects, one for each, each kept for its time. */
export interface EffectRecords {
  /** Takes the effect for `leaseMs`, unless it is completed or somebody else's. */
  take(pk: string, right: { leaseMs: number; ttlMs: number }, signal?: AbortSignal): Promise<EffectTaken>;
  /** Is the time of the right over? Somebody else may have taken over by then. */
  isOver(hold: EffectHold): boolean;
  /** False when somebody else has taken over meanwhile. */
  complete(hold: EffectHold, result: unknown): Promise<boolean>;
  /** It did not happen: anybody may try again at once. False when somebody else has taken over meanwhile. */
  fail(hold: EffectHold, error: string): Promise<boolean>;
}

export const EFFECT_STATES = ['in_progress', 'completed', 'failed'] as const;
export type EffectState = (typeof EFFECT_STATES)[number];

/** What the store remembers of a side effect. */
export interface EffectRecord {
  /** Its key, of which type, entity and generation can be told. */
  pk: string;
  state: EffectState;
  /** How often somebody has set out to do it. */
  holders: number;
  /** The end of the last one's right to do it, epoch milliseconds. */
  leaseUntilMs: number;
  /** When it was begun, or ended, last, epoch milliseconds; what an earlier version wrote does not say. */
  changedAtMs?: number | undefined;
  /** Until when it is remembered, epoch milliseconds. */
  untilMs: number;
  /** The name of the error that it failed with. */
  error?: string | undefined;
  /** What it was completed with; JSON. */
  result?: unknown;
}
