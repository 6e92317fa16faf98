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
