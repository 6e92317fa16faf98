import { InvalidArgumentError } from 'commander';

/** Reads an option's whole number within bounds; the refusal says them. */
export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };

const UNIT_SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** Reads an option's time, such as 90s, 10m, 2h or 1d, as seconds. */
export function durationSeconds(text: string): number {
  const [, digits, unit] = /^(\d{1,7})([smhd])$/.exec(text) ?? [];
  const seconds = Number(digits) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS];
  if (seconds > 0) return seconds;
  throw new InvalidArgumentError('It must be a time such as 90s, 10m, 2h or 1d.');
}
