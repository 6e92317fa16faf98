import type { z } from 'zod';
import { fraction, variable } from './values.ts';

const HOUR_SECONDS = 3_600;

/** The variables of the watch over loops and worker, in the order of `.env.example`. */
export const WATCH_VARIABLES = {
  SANDBOX_HEARTBEAT_INTERVAL: variable(
    fraction(0.05, HOUR_SECONDS),
    '10',
    'how often a resting loop gives a sign of life and all are looked at, seconds',
  ),
  SANDBOX_HEARTBEAT_TIMEOUT: variable(
    fraction(0.1, HOUR_SECONDS),
    '30',
    'silence for longer than this counts as a hang, seconds',
  ),
};

export interface WatchConfig {
  heartbeatIntervalMs: number;
  heartbeatTimeoutMs: number;
}

type Values = z.output<z.ZodObject<typeof WATCH_VARIABLES>>;

/** `problems` gets a sentence for a time-out that healthy loops would run into. */
export function readWatch(values: Values, problems: string[]): WatchConfig {
  const { SANDBOX_HEARTBEAT_INTERVAL: intervalSeconds, SANDBOX_HEARTBEAT_TIMEOUT: timeoutSeconds } = values;
  if (timeoutSeconds <= intervalSeconds) {
    problems.push(
      `SANDBOX_HEARTBEAT_TIMEOUT (${timeoutSeconds}) must be more than SANDBOX_HEARTBEAT_INTERVAL (${intervalSeconds}): healthy loops would seem to hang.`,
    );
  }
  return {
    heartbeatIntervalMs: Math.round(intervalSeconds * 1000),
    heartbeatTimeoutMs: Math.round(timeoutSeconds * 1000),
  };
}
