import type { z } from 'zod';
import { fraction, onOff, variable, whole } from './values.ts';

const DAY_SECONDS = 86_400;

/** The variables of retries and circuit breakers, in the order of `.env.example`. */
export const RESILIENCE_VARIABLES = {
  RETRY_MAX_RETRIES: variable(
    whole(0, 20),
    '3',
    "how often a failed call to the provider is made again within one run; 0: never. A cleanup's delete stops trying after 40 seconds in any case",
  ),
  RETRY_BASE_DELAY_SEC: variable(fraction(0.001, 3600), '1', 'wait before the first retry, seconds'),
  RETRY_MAX_DELAY_SEC: variable(
    fraction(0.001, 3600),
    '60',
    'longest wait before a retry, seconds; Retry-After wins',
  ),
  RETRY_MULTIPLIER: variable(fraction(1, 10), '2', 'each wait is so many times the one before'),
  RETRY_RATE_WINDOW_SEC: variable(
    fraction(1, DAY_SECONDS),
    '3600',
    'an alert is raised when more than half of more than ten tasks of so many seconds needed a retry',
  ),
  RETRY_SPIKE_WINDOW_SEC: variable(
    fraction(0.05, DAY_SECONDS),
    '300',
    'an alert is raised when the retries of so many seconds are more than three times the usual',
  ),
  RETRY_SPIKE_COOLDOWN_SEC: variable(
    fraction(0, DAY_SECONDS),
    '900',
    'time after such an alert before the next one, seconds',
  ),
  BREAKER_FAILURES: variable(
    whole(1, 1000),
    '5',
    'failed calls in a row, retries counted as one, after which a circuit breaker opens',
  ),
  BREAKER_OPEN_SEC: variable(
    fraction(0.05, DAY_SECONDS),
    '60',
    'time before an open breaker lets a probe through, seconds; twice as long after each that fails',
  ),
  BREAKER_MAX_OPEN_SEC: variable(
    fraction(0.05, DAY_SECONDS),
    '600',
    'longest time between two probes, seconds; a Retry-After wins',
  ),
  BREAKER_SHARE: variable(
    fraction(0.01, 1),
    '0.5',
    'the part of the deletes that fails, others going through, which opens the breaker of deletes',
  ),
  BREAKER_SHARE_AT_LEAST: variable(whole(1, 10_000), '10', 'and of so many sandboxes or more'),
  BREAKER_SHARE_WINDOW_SEC: variable(fraction(1, DAY_SECONDS), '300', 'and within so many seconds'),
  BREAKER_MANUAL_RESET: variable(
    onOff,
    'false',
    'an open breaker waits for an operator to reset it, unless the provider has said when to come again',
  ),
  DELETE_MAY_RUN_SEC: variable(
    fraction(1, 3600),
    '120',
    'how long a delete whose answer never came may still be under way at the provider, seconds: no other for that sandbox is sent meanwhile',
  ),
};

export interface ResilienceConfig {
  retry: { retries: number; baseMs: number; maxMs: number; multiplier: number };
  retryAlerts: { rateWindowMs: number; spikeWindowMs: number; spikeCooldownMs: number };
  breaker: { failures: number; openMs: number; maxOpenMs: number; manualReset: boolean };
  deleteEvidence: { failures: number; share: number; atLeast: number; windowMs: number };
  deleteMayRunMs: number;
}

type Values = z.output<z.ZodObject<typeof RESILIENCE_VARIABLES>>;

const toMs = (seconds: number): number => Math.round(seconds * 1000);

/** The settings of retries and breakers; what contradicts itself is said in `problems`. */
export function readResilience(values: Values, problems: string[]): ResilienceConfig {
  const { RETRY_BASE_DELAY_SEC: base, RETRY_MAX_DELAY_SEC: max } = values;
  if (base > max) {
    problems.push(
      `RETRY_BASE_DELAY_SEC (${base}) must not exceed RETRY_MAX_DELAY_SEC (${max}): no wait is longer than that.`,
    );
  }
  const { BREAKER_OPEN_SEC: open, BREAKER_MAX_OPEN_SEC: maxOpen } = values;
  if (open > maxOpen) {
    problems.push(
      `BREAKER_OPEN_SEC (${open}) must not exceed BREAKER_MAX_OPEN_SEC (${maxOpen}): no breaker rests for longer than that.`,
    );
  }
  return {
    retry: {
      retries: values.RETRY_MAX_RETRIES,
      baseMs: toMs(base),
      maxMs: toMs(max),
      multiplier: values.RETRY_MULTIPLIER,
    },
    retryAlerts: {
      rateWindowMs: toMs(values.RETRY_RATE_WINDOW_SEC),
      spikeWindowMs: toMs(values.RETRY_SPIKE_WINDOW_SEC),
      spikeCooldownMs: toMs(values.RETRY_SPIKE_COOLDOWN_SEC),
    },
    breaker: {
      failures: values.BREAKER_FAILURES,
      openMs: toMs(open),
      maxOpenMs: toMs(maxOpen),
      manualReset: values.BREAKER_MANUAL_RESET,
    },
    deleteEvidence: {
      failures: values.BREAKER_FAILURES,
      share: values.BREAKER_SHARE,
      atLeast: values.BREAKER_SHARE_AT_LEAST,
      windowMs: toMs(values.BREAKER_SHARE_WINDOW_SEC),
    },
    deleteMayRunMs: toMs(values.DELETE_MAY_RUN_SEC),
  };
}
