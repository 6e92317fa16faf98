import { useEffect, useState } from 'preact/hooks';
import { type Api, ApiError, explain } from './api.ts';
import { type Connection, follow } from './follow.ts';
import type { AlertList, AlertRecord, HistoryRecord, LiveJob, PoolStatus, StatusRecord } from './records.ts';

/** What the page knows of the broker; everything but the table of sandboxes, which asks for itself. */
export interface BrokerState {
  connection: Connection;
  status: StatusRecord | undefined;
  jobs: LiveJob[] | undefined;
  alerts: AlertList | undefined;
  alertsError: string | undefined;
  history: HistoryRecord | undefined;
  /** Grows with every change of sandboxes; `ids` are those that changed last, or all if undefined. */
  changes: { count: number; ids: ReadonlySet<string> | undefined };
}

const NEWEST_ALERTS = 30;
/** Other replicas' alerts do not come over the stream. */
const ALERTS_EVERY_MS = 60_000;

const NOTHING: BrokerState = {
  connection: { state: 'connecting' },
  status: undefined,
  jobs: undefined,
  alerts: undefined,
  alertsError: undefined,
  history: undefined,
  changes: { count: 0, ids: undefined },
};

/** Follows the broker for as long as the component is there. */
export function useBroker(api: Api): BrokerState {
  const [state, setState] = useState(NOTHING);
  useEffect(() => {
    const stop = new AbortController();
    const { signal } = stop;
    const change = (next: (state: BrokerState) => Partial<BrokerState>) => {
      if (!signal.aborted) setState((before) => ({ ...before, ...next(before) }));
    };

    const loadAlerts = () =>
      api.get<AlertList>(`/v1/admin/alerts?limit=${NEWEST_ALERTS}`, signal).then(
        (alerts) => change(() => ({ alerts, alertsError: undefined })),
        (error: unknown) => change(() => ({ alertsError: explain(error) })),
      );
    const loadHistory = () =>
      api.get<HistoryRecord>('/v1/admin/history', signal).then(
        (history) => change(() => ({ history })),
        (error: unknown) => {
          // The stream says the same, and comes back by itself; so does the history then.
          if (!(error instanceof ApiError)) throw error;
        },
      );

    const onEvent = (type: string, data: unknown) => {
      switch (type) {
        case 'hello':
          void loadAlerts();
          void loadHistory();
          return change(({ changes }) => ({ changes: { count: changes.count + 1, ids: undefined } }));
        case 'status': {
          const status = data as StatusRecord;
          return change(({ history }) => ({ status, history: history && withPoint(history, status) }));
        }
        case 'jobs':
          return change(() => ({ jobs: (data as { jobs: LiveJob[] }).jobs }));
        case 'alert':
          return change(({ alerts }) => ({ alerts: alerts && withAlert(alerts, data as AlertRecord) }));
        case 'sandboxes': {
          const { changed, more } = data as { changed: string[]; more: boolean };
          const ids = more ? undefined : new Set(changed);
          return change(({ changes }) => ({ changes: { count: changes.count + 1, ids } }));
        }
      }
    };

    void follow({ api, onEvent, onConnection: (connection) => change(() => ({ connection })), signal });
    const timer = setInterval(() => void loadAlerts(), ALERTS_EVERY_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [api]);
  return state;
}

function withAlert(list: AlertList, alert: AlertRecord): AlertList {
  const others = list.alerts.filter(({ id }) => id !== alert.id);
  return { ...list, alerts: [alert, ...others].slice(0, NEWEST_ALERTS) };
}

/** The history goes on with what the status says, as often as the broker itself would take a sample. */
function withPoint(history: HistoryRecord, { pool, activity }: StatusRecord): HistoryRecord {
  const at = Math.floor(Date.now() / 1_000);
  if (at - (history.at.at(-1) ?? 0) < history.interval_seconds) return history;
  const column = (name: PoolStatus) => [...history[name], pool?.[name] ?? null];
  return {
    ...history,
    available: column('available'),
    allocated: column('allocated'),
    pending_deletion: column('pending_deletion'),
    deletion_failed: column('deletion_failed'),
    stale: column('stale'),
    at: [...history.at, at],
    leases_per_minute: [...history.leases_per_minute, activity.leases_per_minute],
    p95_ms: [...history.p95_ms, activity.p95_ms],
  };
}
