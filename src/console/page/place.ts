import { useCallback, useEffect, useState } from 'preact/hooks';
import { POOL_STATUSES } from './broker/records.ts';
import { type Filter, NO_FILTER } from './sandboxes/sandbox-pages.ts';

/** How far back the charts reach, seconds, by the name that it has in the address. */
export const RANGES = { '15m': 900, '1h': 3_600, '6h': 21_600 } as const;
export type RangeName = keyof typeof RANGES;

/** What is opened at the side, besides a sandbox. */
export const PANELS = ['jobs', 'dry-run'] as const;
export type PanelName = (typeof PANELS)[number];

/** What one looks at: it stands in the page's address, so that Back works and a link can be handed on. */
export interface Place {
  filter: Filter;
  /** The sandbox whose drawer is open. */
  sandbox: string | undefined;
  range: RangeName;
  /** What else is open at the side. */
  panel: PanelName | undefined;
}

const FILTERS = Object.keys(NO_FILTER) as (keyof Filter)[];
const STATUSES: readonly string[] = ['', ...POOL_STATUSES, 'deleted'];
const MAX_TEXT = 128;
const RANGE: RangeName = '6h';

/** What an address says; what makes no sense in it says nothing. */
export function placeOf(search: string): Place {
  const query = new URLSearchParams(search);
  const text = (name: string) => (query.get(name) ?? '').slice(0, MAX_TEXT);
  const filter = Object.fromEntries(FILTERS.map((name) => [name, text(name)])) as unknown as Filter;
  const range = query.get('range') ?? '';
  return {
    filter: STATUSES.includes(filter.status) ? filter : { ...filter, status: '' },
    sandbox: text('sandbox') || undefined,
    range: Object.hasOwn(RANGES, range) ? (range as RangeName) : RANGE,
    panel: PANELS.find((each) => each === query.get('panel')),
  };
}

/** The other way round; what is as ever is left out. */
export function searchOf({ filter, sandbox, range, panel }: Place): string {
  const query = new URLSearchParams();
  for (const name of FILTERS) if (filter[name] !== '') query.set(name, filter[name]);
  if (sandbox !== undefined) query.set('sandbox', sandbox);
  if (range !== RANGE) query.set('range', range);
  if (panel !== undefined) query.set('panel', panel);
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

/** The place in the address, and how one gets to another: a step of its own in the browser's history. */
export function usePlace(): [Place, (part: Partial<Place>) => void] {
  const [place, setPlace] = useState(() => placeOf(location.search));
  useEffect(() => {
    const onMove = () => setPlace(placeOf(location.search));
    addEventListener('popstate', onMove);
    return () => removeEventListener('popstate', onMove);
  }, []);
  const go = useCallback((part: Partial<Place>) => {
    const next = { ...placeOf(location.search), ...part };
    const search = searchOf(next);
    if (search === location.search) return;
    history.pushState(null, '', `${location.pathname}${search}`);
    setPlace(next);
  }, []);
  return [place, go];
}
