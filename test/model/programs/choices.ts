import fc from 'fast-check';

/** A lease without its buffer, and a bit. */
export const LEASE_SECONDS = 4 * 3_600 + 60;
/** A lease with its buffer, and the most that two clocks can be apart. */
export const TERM_SECONDS = 4.5 * 3_600 + 11;
export const DAY_SECONDS = 25 * 3_600;
/** So short that it is over within a program, and taken back when its buffer is. */
export const SHORT_LEASE_SECONDS = 60;
/** With its grace a minute. */
export const BEAT_SECONDS = 30;

export const choice = fc.nat({ max: 7 });
export const name = fc.constantFrom('a1', 'a2', 'b1');
export const holder = fc.nat({ max: 3 });
export const sometimes = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

/** How long a lease is to last, and how often its holder will be heard of. */
export const leaseTerms = {
  durationSeconds: sometimes(fc.constantFrom(SHORT_LEASE_SECONDS, SHORT_LEASE_SECONDS, 1_800, 6 * 3_600)),
  heartbeatSeconds: sometimes(fc.constantFrom(BEAT_SECONDS, BEAT_SECONDS, 120, 3_600)),
};
