import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { type Api, explain } from './api.ts';
import type { BrokerState } from './broker-state.ts';
import type { SandboxPage, SandboxRecord, SandboxStatus } from './records.ts';

/** What the table is narrowed down to; empty: not at all. */
export interface Filter {
  status: SandboxStatus | '';
  prefix: string;
  holder: string;
  lab: string;
}

export interface Pages {
  rows: SandboxRecord[] | undefined;
  /** The page's number, from 1. */
  number: number;
  hasNext: boolean;
  isLoading: boolean;
  /** The search was ended early: there may be more behind the button. */
  isUnfinished: boolean;
  error: string | undefined;
  /** Ids of rows that changed when the page was loaded again. */
  fresh: ReadonlySet<string>;
  next: () => void;
  previous: () => void;
  reload: () => void;
}

/** The broker looks at 5,000 records for one answer. A page is filled from so many answers, then the operator decides. */
const ANSWERS_PER_PAGE = 6;
/** News come more often than anyone reads. */
const RELOAD_AFTER_MS = 1_000;
/** What other replicas change is not among the news. */
const RELOAD_EVERY_MS = 15_000;

interface Loaded {
  rows: SandboxRecord[];
  /** Where the next page begins. */
  cursor: string | undefined;
  isUnfinished: boolean;
}

/** The table's content, page by page, kept up to date. */
export function usePages(api: Api, filter: Filter, size: number, changes: BrokerState['changes']): Pages {
  /** Where each page up to this one begins. */
  const [starts, setStarts] = useState<(string | undefined)[]>([undefined]);
  const [loaded, setLoaded] = useState<(Loaded & { number: number }) | undefined>();
  const [isLoading, setLoading] = useState(true);
  const [error, setError] = useState<string | undefined>();
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set());
  const [version, setVersion] = useState(0);
  const reload = useCallback(() => setVersion((before) => before + 1), []);
  const query = JSON.stringify([filter, size]);
  const shown = useRef<{ query: string; starts: unknown; rows: SandboxRecord[] } | undefined>(undefined);
  const isShown = shown.current?.query === query && shown.current.starts === starts;

  useEffect(() => {
    const stop = new AbortController();
    // A page that is loaded again stays in sight meanwhile, and so do the operator's eyes.
    if (!isShown) setLoading(true);
    const load = async () => {
      try {
        const next = await fill(api, filter, size, starts.at(-1), stop.signal);
        const before = isShown ? shown.current?.rows : undefined;
        setFresh(before ? changedRows(before, next.rows) : new Set());
        setLoaded({ ...next, number: starts.length });
        setError(undefined);
        shown.current = { query, starts, rows: next.rows };
      } catch (failure) {
        if (stop.signal.aborted) return;
        setError(explain(failure));
      }
      if (!stop.signal.aborted) setLoading(false);
    };
    const timer = setTimeout(() => void load(), 0);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [api, query, starts, version]);

  useEffect(() => setStarts([undefined]), [query]);
  useReloads(changes.count, reload);

  return {
    rows: loaded?.rows,
    number: loaded?.number ?? 1,
    hasNext: loaded?.cursor !== undefined,
    isLoading,
    isUnfinished: loaded?.isUnfinished ?? false,
    error,
    fresh,
    // Of a page that is not there yet, nobody knows where it ends.
    next: () => isShown && loaded?.cursor !== undefined && setStarts([...starts, loaded.cursor]),
    previous: () => setStarts((before) => (before.length > 1 ? before.slice(0, -1) : before)),
    reload,
  };
}

/** Soon after a change, however many there are, and now and then without one. */
function useReloads(changeCount: number, reload: () => void): void {
  const pending = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const lastMs = useRef(0);
  useEffect(() => {
    if (changeCount === 0 || pending.current !== undefined) return;
    const waitMs = Math.max(0, lastMs.current + RELOAD_AFTER_MS - Date.now());
    pending.current = setTimeout(() => {
      pending.current = undefined;
      lastMs.current = Date.now();
      reload();
    }, waitMs);
  }, [changeCount]);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === 'visible' && reload(), RELOAD_EVERY_MS);
    return () => {
      clearInterval(timer);
      clearTimeout(pending.current);
    };
  }, []);
}

/** One page. What is rare comes over several answers, each of which may be short. */
async function fill(
  api: Api,
  filter: Filter,
  size: number,
  start: string | undefined,
  signal: AbortSignal,
): Promise<Loaded> {
  const rows: SandboxRecord[] = [];
  let cursor = start;
  for (let answers = 0; answers < ANSWERS_PER_PAGE; answers++) {
    const query = new URLSearchParams({ limit: String(size - rows.length) });
    for (const [name, value] of Object.entries(filter)) if (value !== '') query.set(name, value);
    if (cursor !== undefined) query.set('cursor', cursor);
    const page = await api.get<SandboxPage>(`/v1/admin/sandboxes?${query}`, signal);
    rows.push(...page.sandboxes);
    ({ cursor } = page);
    if (cursor === undefined || rows.length >= size) return { rows, cursor, isUnfinished: false };
  }
  return { rows, cursor, isUnfinished: true };
}

function changedRows(before: SandboxRecord[], after: SandboxRecord[]): ReadonlySet<string> {
  const known = new Map(before.map((row) => [row.sandbox_id, row]));
  const changed = after.filter((row) => known.get(row.sandbox_id)?.status !== row.status);
  return new Set(changed.map((row) => row.sandbox_id));
}
