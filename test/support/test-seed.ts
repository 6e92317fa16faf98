import { randomInt } from 'node:crypto';

/**
 * The seed of a test that makes other choices every time: the one that `variable` gives, or a fresh one. It stands in the
 * output as it has to be given to have the same choices again, whether the test fails or what runs it is cut off.
 */
export function testSeed(variable: string): number {
  const given = process.env[variable];
  const seed = given === undefined ? randomInt(2 ** 32) : Number(given);
  if (!Number.isSafeInteger(seed)) throw new RangeError(`${variable} must be a whole number, not ${given}`);
  console.log(`${variable}=${seed}`);
  return seed;
}
