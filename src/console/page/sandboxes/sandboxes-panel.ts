import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Api } from '../broker/api.ts';
import type { BrokerState } from '../broker/broker-state.ts';
import { POOL_STATUSES, type PoolStatus } from '../broker/records.ts';
import type { Question } from '../confirmation.ts';
import { html } from '../html.ts';
import type { Place } from '../place.ts';
import { grouped, STATUS_NAMES } from '../wording.ts';
import { BulkActions } from './bulk-actions.ts';
import { ExportButton } from './export-button.ts';
import { SandboxDrawer } from './sandbox-drawer.ts';
import { type Filter, NO_FILTER, type Pages, usePages } from './sandbox-pages.ts';
import { SandboxTable } from './sandbox-table.ts';
import type { Sorting } from './sorting.ts';

interface SandboxesPanelProps {
  api: Api;
  broker: BrokerState;
  place: Place;
  onPlace: (part: Partial<Place>) => void;
  /** Absent in read-only mode. */
  ask: ((question: Question) => void) | undefined;
  panel: RefObject<HTMLElement>;
}

const SIZES = [25, 50, 100];

/** The table of sandboxes with its filters and pages, and the drawer for one of them. */
export function SandboxesPanel({ api, broker, place, onPlace, ask, panel }: SandboxesPanelProps) {
  const { filter, sandbox: openId } = place;
  const [size, setSize] = useState(SIZES[0] ?? 25);
  const [sorting, setSorting] = useState<Sorting | undefined>();
  const pages = usePages(api, filter, size, broker.changes);
  const isFiltered = Object.values(filter).some((value) => value !== '');
  const rows = pages.rows ?? [];

  return html`
    <section class="card sandboxes" id="sandboxes" ref=${panel} tabindex="-1" aria-labelledby="sandboxes-title">
      <div class="title-line">
        <h2 id="sandboxes-title">Sandboxes</h2>
        <span class="muted">${known(broker.status?.pool, filter)}</span>
        <span class="table-actions">
          ${ask ? html`<${BulkActions} api=${api} filter=${filter} ask=${ask} />` : null}
          <${ExportButton} api=${api} filter=${filter} />
        </span>
      </div>
      <${Filters} filter=${filter} onFilter=${(next: Filter) => onPlace({ filter: next })} isFiltered=${isFiltered} />
      ${pages.error === undefined ? null : html`<p class="problem" role="alert">${pages.error} <button type="button" class="quiet" onClick=${pages.reload}>Try again</button></p>`}
      <${SandboxTable}
        rows=${pages.rows}
        fresh=${pages.fresh}
        isLoading=${pages.isLoading}
        isOutdated=${pages.isOutdated}
        sorting=${sorting}
        onSort=${setSorting}
        onOpen=${(sandbox: string) => onPlace({ sandbox })}
        empty=${isFiltered ? (pages.isUnfinished ? 'None found so far; the next page searches on.' : 'No sandbox matches these filters.') : 'The pool is empty. A sync takes over what the provider has.'}
      />
      <nav class="pages" aria-label="Pages of sandboxes">
        <button type="button" class="secondary outline" disabled=${pages.number === 1} onClick=${pages.previous}>Previous</button>
        <span role="status">
          Page ${pages.number}, ${pages.isOutdated ? (pages.isLoading ? 'loading' : 'not loaded') : inWords(rows.length, pages)}
        </span>
        <button type="button" class="secondary outline" disabled=${!pages.hasNext} onClick=${pages.next}>
          ${pages.isUnfinished ? 'Search on' : 'Next'}
        </button>
        <label>
          Per page
          <select value=${size} onChange=${(event: Event) => setSize(Number((event.currentTarget as HTMLSelectElement).value))}>
            ${SIZES.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
          </select>
        </label>
        ${sorting ? html`<small class="muted">Sorted within this page.</small>` : null}
      </nav>
      <${SandboxDrawer} api=${api} id=${openId} filter=${filter} changes=${broker.changes} ask=${ask} onClose=${() => onPlace({ sandbox: undefined })} />
    </section>
  `;
}

const inWords = (count: number, { isUnfinished, hasNext }: Pages): string =>
  `${count === 1 ? 'one sandbox' : `${count} sandboxes`}${isUnfinished ? ', still searching' : ''}${hasNext ? '' : ', the last page'}`;

/** How many there are, where the counts tell: they know statuses only. */
function known(pool: NonNullable<BrokerState['status']>['pool'] | undefined, filter: Filter): string {
  if (!pool || filter.find !== '' || filter.holder !== '' || filter.lab !== '') return '';
  if (filter.status === '') return `${grouped(pool.total)} in all`;
  return filter.status === 'deleted'
    ? ''
    : `${grouped(pool[filter.status as PoolStatus])} ${STATUS_NAMES[filter.status].toLowerCase()}`;
}

interface FiltersProps {
  filter: Filter;
  isFiltered: boolean;
  onFilter: (filter: Filter) => void;
}

function Filters({ filter, isFiltered, onFilter }: FiltersProps) {
  const [typed, setTyped] = useState(filter);
  // Whoever goes back sees what was typed then.
  useEffect(() => setTyped(filter), [JSON.stringify(filter)]);
  const change = (part: Partial<Filter>) => {
    const next = { ...typed, ...part };
    setTyped(next);
    return next;
  };
  const text = (name: 'find' | 'holder' | 'lab', label: string, hint: string) => html`<label>
    ${label}
    <input
      type="search"
      name=${name}
      maxlength="128"
      autocomplete="off"
      spellcheck=${false}
      placeholder=${hint}
      value=${typed[name]}
      onInput=${(event: Event) => change({ [name]: (event.currentTarget as HTMLInputElement).value })}
      onSearch=${(event: Event) => onFilter(change({ [name]: (event.currentTarget as HTMLInputElement).value.trim() }))}
      onChange=${(event: Event) => onFilter(change({ [name]: (event.currentTarget as HTMLInputElement).value.trim() }))}
    />
  </label>`;
  return html`
    <search aria-label="Filter the sandboxes"><form
      class="filters"
      onSubmit=${(event: SubmitEvent) => {
        event.preventDefault();
        onFilter(typed);
      }}
    >
      <label>
        Status
        <select
          name="status"
          value=${typed.status}
          onChange=${(event: Event) => onFilter(change({ status: (event.currentTarget as HTMLSelectElement).value as Filter['status'] }))}
        >
          <option value="">Any</option>
          ${[...POOL_STATUSES, 'deleted' as const].map((each) => html`<option key=${each} value=${each}>${STATUS_NAMES[each]}</option>`)}
        </select>
      </label>
      ${text('find', 'Find', 'id, holder, name')} ${text('holder', 'Holder', 'begins with')} ${text('lab', 'Lab', 'begins with')}
      <button type="button" class="secondary outline" disabled=${!isFiltered} onClick=${() => onFilter(change(NO_FILTER))}>Clear</button>
    </form></search>
  `;
}
