import type { z } from 'zod';
import { fraction, optional, variable } from './values.ts';

const YEAR_HOURS = 8760;
const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 24 * HOUR_SECONDS;
/** Over half a second, so that rounding to whole seconds leaves a lease of at least one. */
const SHORTEST_LEASE_HOURS = 0.0002;

const leaseHours = fraction(SHORTEST_LEASE_HOURS, YEAR_HOURS);

/** The variables of leases, in the order of `.env.example`. */
export const LEASE_VARIABLES = {
  LAB_DURATION_HOURS: variable(leaseHours, '4', 'length of a lease that asks for none of its own, hours'),
  MAX_LEASE_HOURS: optional(
    leaseHours,
    'longest lease that may be asked for, extensions included, hours; empty: 24, or LAB_DURATION_HOURS where that is longer',
  ),
  EXPIRY_BUFFER_HOURS: variable(
    fraction(0, YEAR_HOURS),
    '0.5',
    'grace after the end of a lease before the sandbox is taken back, hours',
  ),
  COOLDOWN_SEC: variable(
    fraction(0, 7 * DAY_SECONDS),
    '0',
    'how long a sandbox rests after its cleanup before it is free again, seconds',
  ),
};

export interface LeaseConfig {
  leaseSeconds: number;
  /** From a lease's begin, however often it is extended. */
  maxLeaseSeconds: number;
  /** Grace after a lease's end. */
  bufferSeconds: number;
  /** From the end of a cleanup until the sandbox is free. */
  cooldownMs: number;
}

type Values = z.output<z.ZodObject<typeof LEASE_VARIABLES>>;

/** `problems` gets a sentence for a default that is longer than what may be asked for. */
export function readLeases(values: Values, problems: string[]): LeaseConfig {
  const { LAB_DURATION_HOURS: hours, MAX_LEASE_HOURS: maxHours } = values;
  if (maxHours !== undefined && maxHours < hours) {
    problems.push(
      `MAX_LEASE_HOURS (${maxHours}) must be at least LAB_DURATION_HOURS (${hours}): that is what a lease gets unasked.`,
    );
  }
  const leaseSeconds = Math.round(hours * HOUR_SECONDS);
  return {
    leaseSeconds,
    maxLeaseSeconds:
      maxHours === undefined ? Math.max(DAY_SECONDS, leaseSeconds) : Math.round(maxHours * HOUR_SECONDS),
    bufferSeconds: Math.round(values.EXPIRY_BUFFER_HOURS * HOUR_SECONDS),
    cooldownMs: Math.round(values.COOLDOWN_SEC * 1000),
  };
}
