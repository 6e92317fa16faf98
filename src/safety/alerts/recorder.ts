import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import type { AlertStore, RaisedAlert, RecordOutcome } from '../../domain/resilience/alert.ts';
import { createBackgroundQueue } from '../background-queue.ts';

export interface AlertRecorder {
  /** Sees to it that all replicas learn of the alert, later. */
  record(alert: RaisedAlert): void;
  /** Writes what waits for `withinMs` at most. Idempotent. */
  close(withinMs: number): Promise<void>;
}

export interface AlertRecorderOptions {
  store: Pick<AlertStore, 'write'>;
  clock: Clock;
  /** Alerts that are written in a minute at most; 1,000 by default. */
  maxPerMinute?: number;
  /** How long a store that is away is left alone, milliseconds; 2,000 by default. */
  storeRestMs?: number;
  onOutcome: (outcome: RecordOutcome, alert: RaisedAlert, error?: unknown) => void;
}

/** As many as the ring has. */
const MAX_WAITING = 1_000;
/** A storm's records cost money and add up for a week. What it drops is still in the log, the counts and the ring. */
const MAX_PER_MINUTE = 1_000;
const MINUTE_MS = 60_000;
const STORE_REST_MS = 2_000;

/** Writes alerts into the store, behind the back of whoever raises them; while the store is away they wait. */
export function createAlertRecorder({
  store,
  clock,
  maxPerMinute = MAX_PER_MINUTE,
  storeRestMs = STORE_REST_MS,
  onOutcome,
}: AlertRecorderOptions): AlertRecorder {
  let minute = 0;
  let takenThisMinute = 0;

  function mayTake(): boolean {
    const now = Math.floor(clock.nowMs() / MINUTE_MS);
    if (now !== minute) takenThisMinute = 0;
    minute = now;
    return takenThisMinute++ < maxPerMinute;
  }

  async function work(alert: RaisedAlert, signal: AbortSignal): Promise<number | undefined> {
    try {
      await store.write(alert, signal);
      onOutcome('stored', alert);
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'STORE_UNAVAILABLE') return storeRestMs;
      onOutcome('failed', alert, error);
    }
    return undefined;
  }

  const queue = createBackgroundQueue({ capacity: MAX_WAITING, work });

  return {
    record(alert) {
      if (!mayTake() || !queue.push(alert)) onOutcome('dropped', alert);
    },
    async close(withinMs) {
      for (const alert of await queue.close(withinMs)) onOutcome('dropped', alert);
    },
  };
}
