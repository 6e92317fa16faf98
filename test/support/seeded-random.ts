/** Numbers that follow from a seed alone, so that a run can be told to make the same choices again. */
export interface SeededRandom {
  /** In [0, 1). */
  next(): number;
  /** A whole number from `from` to `to`, both included. */
  whole(from: number, to: number): number;
  chance(probability: number): boolean;
  /** Throws `RangeError` when there is nothing to pick from. */
  pick<T>(from: readonly T[]): T;
  /** A source of its own, for somebody whose choices must not depend on when others make theirs. */
  fork(): SeededRandom;
}

/** The mulberry32 generator (Tommy Ettinger, public domain): 32 bits of state, enough for choices in tests. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const whole = (from: number, to: number) => from + Math.floor(next() * (to - from + 1));
  return {
    next,
    whole,
    chance: (probability) => next() < probability,
    pick(from) {
      if (from.length === 0) throw new RangeError('nothing to pick from');
      return from[whole(0, from.length - 1)] as (typeof from)[number];
    },
    fork: () => seededRandom(whole(0, 2 ** 32 - 1)),
  };
}
