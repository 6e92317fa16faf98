import { useEffect, useState } from 'preact/hooks';
import { type Api, ApiError, explain } from './api.ts';
import { type Connection, follow } from './follow.ts';
import {
  type AlertList,
  type AlertRecord,
  type HistoryColumns,
  type HistoryRecord,
  type LineRecord,
  type LiveJob,
  POOL_STATUSES,
  type StatusRecord,
} from './records.ts';
import { toldWhole } from './told-whole.ts';

/** What the page knows of the broker; everything but the table of sandboxes, which asks for itself. */
export interface BrokerState {
  connection: Connection;
  status: StatusRecord | undefined;
  jobs: LiveJob[] | undefined;
  line: LineRecord | undefined;
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
  line: undefined,
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

    const alerts = toldWhole({
      ask: (asked) => api.get<AlertList>(`/v1/admin/alerts?limit=${NEWEST_ALERTS}`, asked),
      add: withAlert,
      onWhole: (list) => change(() => ({ alerts: list, alertsError: undefined })),
      onError: (error) => change(() => ({ alertsError: explain(error) })),
      signal,
    });
    const history = toldWhole({
      ask: (asked) => api.get<HistoryRecord>('/v1/admin/history', asked),
      add: withSample,
      onWhole: (record) => change(() => ({ history: record })),
      onError(error) {
        // The stream says the same, and comes back by itself; so does the history then.
        if (!(error instanceof ApiError)) throw error;
      },
      signal,
    });

    const onEvent = (type: string, data: unknown) => {
      switch (type) {
        case 'hello':
          alerts.load();
          history.load();
          return change(({ changes }) => ({ changes: { count: changes.count + 1, ids: undefined } }));
        case 'status':
          return change(() => ({ status: data as StatusRecord }));
        case 'sample':
          return history.tell(data as HistoryColumns);
        case 'jobs':
          return change(() => ({ jobs: (data as { jobs: LiveJob[] }).jobs }));
        case 'line':
          return change(() => ({ line: data as LineRecord }));
        case 'alert':
          return alerts.tell(data as AlertRecord);
        case 'sandboxes': {
          const { changed, more } = data as { changed: string[]; more: boolean };
          const ids = more ? undefined : new Set(changed);
          return change(({ changes }) => ({ changes: { count: changes.count + 1, ids } }));
        }
      }
    };

    void follow({ api, onEvent, onConnection: (connection) => change(() => ({ connection })), signal });
    const timer = setInterval(alerts.load, ALERTS_EVERY_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [api]);
  return state;
}

export function withAlert(list: AlertList, alert: AlertRecord): AlertList {
  const others = list.alerts.filter(({ id }) => id !== alert.id);
  return { ...list, alerts: [alert, ...others].slice(0, NEWEST_ALERTS) };
}

/**
 * The sample is one more row of each column, unless it is there already; what is too old for the broker to remember goes.
 */
export function withSample(history: HistoryRecord, sample: HistoryColumns): HistoryRecord {
  if ((sample.at[0] ?? 0) <= (history.at.at(-1) ?? 0)) return history;
  const kept = history.kept_seconds / history.interval_seconds;
  const longer = COLUMNS.map((name) => [
    name,
    [...columnOf(history, name), ...columnOf(sample, name)].slice(-kept),
  ]);
  return { ...history, ...(Object.fromEntries(longer) as unknown as HistoryColumns) };
}

/** During a roll-out a replica may answer that does not know all that this page does: that is not known. */
export const columnOf = (columns: HistoryColumns, name: keyof HistoryColumns): (number | null)[] =>
  columns[name] ?? columns.at.map(() => null);

const COLUMNS = [
  'at',
  ...POOL_STATUSES,
  'leases_per_minute',
  'refusals_per_minute',
  'p95_ms',
] as const satisfies (keyof HistoryColumns)[];
