import type { VNode } from 'preact';
import type { SandboxRecord } from '../broker/records.ts';
import { When } from '../clock.ts';
import { html } from '../html.ts';
import { COLUMNS, type Column, type Sorting, sorted } from './sorting.ts';
import { StatusChip } from './status-chip.ts';

interface SandboxTableProps {
  rows: readonly SandboxRecord[] | undefined;
  /** Rows to draw the eye to. */
  fresh: ReadonlySet<string>;
  isLoading: boolean;
  /** They answer an earlier question: they can be read, and nothing else. */
  isOutdated: boolean;
  sorting: Sorting | undefined;
  onSort: (sorting: Sorting | undefined) => void;
  onOpen: (sandboxId: string) => void;
  empty: string;
}

const HEADS: Readonly<Record<Column, string>> = {
  name: 'Name',
  status: 'Status',
  holder: 'Holder',
  lab: 'Lab',
  lease: 'Lease ends',
  updated: 'Changed',
};

/** One page of sandboxes. */
export function SandboxTable(props: SandboxTableProps) {
  const { rows, sorting, isLoading, isOutdated } = props;
  return html`
    <div class="table-scroll" aria-busy=${isLoading}>
      <table>
        <caption class="visually-hidden">Sandboxes. The buttons in the head sort this page.</caption>
        <thead>
          <tr>
            ${COLUMNS.map((column) => html`<${Head} key=${column} column=${column} sorting=${sorting} onSort=${props.onSort} />`)}
          </tr>
        </thead>
        <tbody inert=${isOutdated}>
          ${sorted(rows ?? [], sorting).map((row) => html`<${Row} key=${row.sandbox_id} row=${row} isFresh=${props.fresh.has(row.sandbox_id)} onOpen=${props.onOpen} />`)}
          ${rows?.length === 0 && !isLoading ? html`<tr><td colspan=${COLUMNS.length} class="empty">${props.empty}</td></tr>` : null}
          ${rows === undefined && isLoading ? html`<tr><td colspan=${COLUMNS.length} class="empty">Loading</td></tr>` : null}
        </tbody>
      </table>
    </div>
  `;
}

interface HeadProps {
  column: Column;
  sorting: Sorting | undefined;
  onSort: (sorting: Sorting | undefined) => void;
}

/** Up, down, and back to the broker's own order. */
function Head({ column, sorting, onSort }: HeadProps) {
  const isSorted = sorting?.column === column;
  const direction = !isSorted ? 'none' : sorting.isDescending ? 'descending' : 'ascending';
  const next = !isSorted
    ? { column, isDescending: false }
    : sorting.isDescending
      ? undefined
      : { column, isDescending: true };
  return html`<th scope="col" aria-sort=${direction} class=${`column-${column}`}>
    <button type="button" class="sort" onClick=${() => onSort(next)}>${HEADS[column]}<i aria-hidden="true"></i></button>
  </th>`;
}

interface RowProps {
  row: SandboxRecord;
  isFresh: boolean;
  onOpen: (sandboxId: string) => void;
}

function Row({ row, isFresh, onOpen }: RowProps) {
  const {
    sandbox_id: id,
    name,
    status,
    allocated_to_track: holder,
    track_name: lab,
    expires_at: endsAt,
  } = row;
  const open = (event: Event) => {
    event.stopPropagation();
    onOpen(id);
  };
  return html`<tr class=${isFresh ? 'fresh' : ''} onClick=${open}>
    <td class="column-name"><button type="button" class="name" onClick=${open}>${name}</button></td>
    <td class="column-status"><${StatusChip} status=${status} /></td>
    ${cell('holder', holder)} ${cell('lab', lab)}
    ${cell('lease', status === 'allocated' && endsAt !== undefined ? html`<${When} at=${endsAt} />` : undefined)}
    ${cell('updated', html`<${When} at=${row.updated_at} />`)}
  </tr>`;
}

function cell(column: Column, content: VNode | string | undefined): VNode {
  if (content === undefined)
    return html`<td class=${`column-${column} none`}><span class="muted">–</span></td>`;
  const title = typeof content === 'string' ? content : undefined;
  return html`<td class=${`column-${column}`} title=${title}>${content}</td>`;
}
