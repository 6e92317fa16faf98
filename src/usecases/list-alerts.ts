import type { Clock } from '../clock.ts';
import type { AlertStore } from '../domain/resilience/alert.ts';
import { type AlertFilter, newestFirst, type RaisedAlert } from '../domain/resilience/alert.ts';
import { limitTime } from '../time-limit.ts';
import type { CallContext } from './context.ts';

export interface ListAlertsDeps {
  /** This replica's own, from memory. */
  recent: (filter: AlertFilter, limit: number) => RaisedAlert[];
  stored: Pick<AlertStore, 'list'>;
  clock: Clock;
  onStoreError: (error: unknown) => void;
  /** How long the store may take, milliseconds; 3,000 by default. */
  storeWithinMs?: number;
}

export interface AlertList {
  alerts: RaisedAlert[];
  /** False: the search gave up before it had found as many as were asked for. */
  complete: boolean;
  /** False: the store does not answer, and these are this replica's own. */
  stored: boolean;
}

/** The page is looked at when things go wrong: it does not wait for a store that is away. */
const STORE_WITHIN_MS = 3_000;

/** The newest alerts of all replicas, the newest first. Without the store: this replica's. */
export function listAlerts({
  recent,
  stored,
  clock,
  onStoreError,
  storeWithinMs = STORE_WITHIN_MS,
}: ListAlertsDeps) {
  return async ({ limit, ...filter }: AlertFilter & { limit: number }, { signal }: CallContext) => {
    const own = recent(filter, limit);
    if (limit === 0) return { alerts: [], complete: true, stored: true };
    const time = limitTime(storeWithinMs, signal);
    try {
      const { alerts, complete } = await stored.list({ ...filter, limit, nowMs: clock.nowMs() }, time.signal);
      return { alerts: merge(own, alerts).slice(0, limit), complete, stored: true };
    } catch (error) {
      signal.throwIfAborted();
      // Whatever the store's trouble is: what this replica knows by itself is shown.
      onStoreError(error);
      return { alerts: own, complete: false, stored: false };
    } finally {
      time.clear();
    }
  };
}

export type ListAlerts = (query: AlertFilter & { limit: number }, context: CallContext) => Promise<AlertList>;

/** Own ones that are stored by now are there twice. */
function merge(own: RaisedAlert[], others: RaisedAlert[]): RaisedAlert[] {
  const byId = new Map([...others, ...own].map((alert) => [alert.id, alert]));
  return [...byId.values()].sort(newestFirst);
}
