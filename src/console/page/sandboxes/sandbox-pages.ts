import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { type Api, explain } from '../broker/api.ts';
import type { BrokerState } from '../broker/broker-state.ts';
import type { SandboxPage, SandboxRecord, SandboxStatus } from '../broker/records.ts';
import { latest } from '../latest.ts';

/** What the table is narrowed down to; empty: not at all. */
export interface Filter {
  status: SandboxStatus | '';
  /** An id, a whole holder, or the beginning of a name: the broker decides. */
  find: string;
  /** The beginning. */
  holder: string;
  /** The beginning. */
  lab: string;
}

export const NO_FILTER: Filter = { status: '', find: '', holder: '', lab: '' };

export interface Pages {
  rows: SandboxRecord[] | undefined;
  /** The page's number, from 1. */
  number: number;
  hasNext: boolean;
  /** The rows answer an earlier question: nothing may be done with them. */
  isOutdated: boolean;
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

/** Where the broker calls a filter otherwise. */
const PARAMETERS: Readonly<Record<string, string>> = { holder: 'holder_prefix' };

interface Loaded {
  /** What this answers: {@link askedFor}. */
  question: string;
  rows: SandboxRecord[];
  /** Where the next page begins. */
  cursor: string | undefined;
  isUnfinished: boolean;
}

/** Where each page up to the one in sight begins, for one query. */
interface Walk {
  query: string;
  starts: readonly (string | undefined)[];
}

/**
 * The table's content, page by page, kept up to date. Rows answer the question that was asked last, or they are
 * outdated: from the very moment on in which another is asked, whether its answer comes or not.
 */
export function usePages(api: Api, filter: Filter, size: number, changes: BrokerState['changes']): Pages {
  const query = JSON.stringify([filter, size]);
  const [walk, setWalk] = useState<Walk>({ query, starts: [undefined] });
  const starts = walk.query === query ? walk.starts : [undefined];
  const question = askedFor(query, starts);
  const [loaded, setLoaded] = useState<Loaded | undefined>();
  const [failure, setFailure] = useState<{ question: string; message: string } | undefined>();
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set());
  const [version, setVersion] = useState(0);
  const loading = useRef({ isUnderWay: false, isDueAgain: false });
  /** Waits for the answer that is under way: news that come faster than answers would else keep every one from coming. */
  const reload = useCallback(() => {
    if (loading.current.isUnderWay) loading.current.isDueAgain = true;
    else setVersion((before) => before + 1);
  }, []);
  const isCurrent = loaded?.question === question;
  const isRefused = failure?.question === question;

  useEffect(() => {
    const stop = new AbortController();
    const mine = { isUnderWay: true, isDueAgain: false };
    loading.current = mine;
    const ended = () => {
      mine.isUnderWay = false;
      if (mine.isDueAgain) reload();
    };
    const answered = (next: Omit<Loaded, 'question'>) => {
      // A page that is loaded again stays in sight meanwhile, and so do the operator's eyes.
      setFresh(isCurrent ? changedRows(loaded.rows, next.rows) : new Set());
      setLoaded({ ...next, question });
      setFailure(undefined);
      ended();
    };
    const failed = (error: unknown) => {
      setFailure({ question, message: explain(error) });
      ended();
    };
    latest(stop.signal, fill(api, filter, size, starts.at(-1), stop.signal), answered, failed);
    return () => stop.abort();
  }, [api, question, version]);
  // Whoever comes back to a filter begins at its first page.
  useEffect(() => setWalk({ query, starts: [undefined] }), [query]);
  useReloads(changes.count, reload);

  return {
    rows: isRefused && !isCurrent ? undefined : loaded?.rows,
    number: starts.length,
    hasNext: loaded?.cursor !== undefined,
    isOutdated: !isCurrent,
    isLoading: !isCurrent && !isRefused,
    isUnfinished: isCurrent && loaded.isUnfinished,
    error: isRefused ? failure.message : undefined,
    fresh,
    // Of a page that is not there yet, nobody knows where it ends.
    next: () =>
      isCurrent && loaded.cursor !== undefined && setWalk({ query, starts: [...starts, loaded.cursor] }),
    previous: () => starts.length > 1 && setWalk({ query, starts: starts.slice(0, -1) }),
    reload,
  };
}

/** A question to the broker: the page that begins here, of this query. */
const askedFor = (query: string, starts: Walk['starts']): string => JSON.stringify([query, starts]);

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

/** A filter as the broker's parameters, with others. */
export function parametersOf(filter: Filter, others: Record<string, string>): URLSearchParams {
  const query = new URLSearchParams(others);
  for (const [name, value] of Object.entries(filter))
    if (value !== '') query.set(PARAMETERS[name] ?? name, value);
  return query;
}

/** One page. What is rare comes over several answers, each of which may be short. */
async function fill(
  api: Api,
  filter: Filter,
  size: number,
  start: string | undefined,
  signal: AbortSignal,
): Promise<Omit<Loaded, 'question'>> {
  const rows: SandboxRecord[] = [];
  let cursor = start;
  for (let answers = 0; answers < ANSWERS_PER_PAGE; answers++) {
    const query = parametersOf(filter, { limit: String(size - rows.length) });
    if (cursor !== undefined) query.set('cursor', cursor);
    const page = await api.get<SandboxPage>(`/v1/admin/sandboxes?${query}`, signal);
    rows.push(...page.sandboxes);
    ({ cursor } = page);
    if (cursor === undefined || rows.length >= size) return { rows, cursor, isUnfinished: false };
    // What is found without a search comes first, and is what was looked for.
    if (filter.find !== '' && rows.length > 0) return { rows, cursor, isUnfinished: true };
  }
  return { rows, cursor, isUnfinished: true };
}

function changedRows(before: SandboxRecord[], after: SandboxRecord[]): ReadonlySet<string> {
  const known = new Map(before.map((row) => [row.sandbox_id, row]));
  const changed = after.filter((row) => known.get(row.sandbox_id)?.status !== row.status);
  return new Set(changed.map((row) => row.sandbox_id));
}
