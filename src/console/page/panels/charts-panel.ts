import { useMemo } from 'preact/hooks';
import { columnOf } from '../broker/broker-state.ts';
import type { HistoryColumns, HistoryRecord } from '../broker/records.ts';
import { When } from '../clock.ts';
import { html } from '../html.ts';
import { RANGES, type RangeName } from '../place.ts';
import { grouped, latency, moment, rate, span, zoneAt } from '../wording.ts';
import { Chart, type Line } from './chart.ts';

const tickOfMs = (ms: number): string => (ms < 1_000 ? `${Number(ms.toFixed(1))} ms` : `${ms / 1_000} s`);

const POOL_LINES: Line[] = [
  { label: 'Free', color: '--free', fill: true },
  { label: 'Allocated', color: '--allocated' },
  { label: 'Pending', color: '--pending' },
  { label: 'Failed', color: '--failed' },
];
const LEASE_LINES: Line[] = [
  { label: 'Leased', color: '--allocated', fill: true },
  { label: 'Refused', color: '--failed' },
  { label: 'p95', color: '--latency', axis: 'right', isDashed: true, format: latency, tick: tickOfMs },
];
const POOL_COLUMNS = ['at', 'available', 'allocated', 'pending_deletion', 'deletion_failed'] as const;
const LEASE_COLUMNS = ['at', 'leases_per_minute', 'refusals_per_minute', 'p95_ms'] as const;

interface ChartsPanelProps {
  history: HistoryRecord | undefined;
  range: RangeName;
  onRange: (range: RangeName) => void;
}

/** The last hours, as far as this process remembers them. */
export function ChartsPanel({ history, range, onRange }: ChartsPanelProps) {
  const shown = useMemo(() => history && lastOf(history, RANGES[range]), [history, range]);
  const pool = useMemo(() => shown && POOL_COLUMNS.map((name) => shown[name]), [shown]);
  const leases = useMemo(() => shown && LEASE_COLUMNS.map((name) => shown[name]), [shown]);
  return html`
    <section class="history-panel" aria-labelledby="history-title">
      <div class="title-line">
        <h2 id="history-title">The last hours</h2>
        <span class="muted">${history ? html`<${Reach} history=${history} range=${range} />` : 'Loading'}</span>
        <${Ranges} range=${range} onRange=${onRange} />
      </div>
      <div class="charts">
        <figure class="card">
          <figcaption><h3>Pool</h3><span class="muted">sandboxes by status</span></figcaption>
          ${pool && shown ? html`<${Chart} lines=${POOL_LINES} data=${pool} summary=${poolSummary(shown)} />` : null}
        </figure>
        <figure class="card">
          <figcaption>
            <h3>Leases</h3>
            <span class="muted">leased and refused per minute, and how long it took</span>
          </figcaption>
          ${leases && shown ? html`<${Chart} lines=${LEASE_LINES} data=${leases} summary=${leaseSummary(shown)} />` : null}
        </figure>
      </div>
    </section>
  `;
}

/** The samples of so many seconds up to the newest one. */
export function lastOf(history: HistoryRecord, seconds: number): HistoryRecord {
  const from = (history.at.at(-1) ?? 0) - seconds;
  const first = history.at.findIndex((at) => at >= from);
  const columns = [...POOL_COLUMNS, ...LEASE_COLUMNS].map((name) => [
    name,
    columnOf(history, name).slice(Math.max(0, first)),
  ]);
  return { ...history, ...(Object.fromEntries(columns) as unknown as HistoryColumns) };
}

const RANGE_NAMES: Readonly<Record<RangeName, string>> = { '15m': '15 min', '1h': '1 h', '6h': '6 h' };

function Ranges({ range, onRange }: Omit<ChartsPanelProps, 'history'>) {
  return html`<div class="ranges" role="group" aria-label="How far back the charts reach">
    ${(Object.keys(RANGES) as RangeName[]).map(
      (name) => html`<button
        key=${name}
        type="button"
        class="quiet"
        aria-pressed=${name === range}
        onClick=${() => onRange(name)}
      >
        ${RANGE_NAMES[name]}
      </button>`,
    )}
  </div>`;
}

/** A young process knows little, and says so. */
function Reach({ history, range }: { history: HistoryRecord; range: RangeName }) {
  const now = Date.now() / 1_000;
  const zone = `times in ${zoneAt(now)}`;
  if (now - history.since >= RANGES[range]) return html`${zone}`;
  return html`<span title=${`Kept in memory, up to ${span(history.kept_seconds)}.`}>
    this process started <${When} at=${history.since} />; nothing is known from before · ${zone}
  </span>`;
}

function poolSummary({ at, available, allocated, pending_deletion, deletion_failed }: HistoryRecord): string {
  const from = at[0];
  if (from === undefined) return 'Line chart of the pool. No sample yet.';
  const free = available.filter((value) => value !== null);
  const extremes =
    free.length === 0
      ? ''
      : ` Free sandboxes were between ${grouped(Math.min(...free))} and ${grouped(Math.max(...free))}.`;
  const last = [available, allocated, pending_deletion, deletion_failed].map(
    (column) => column.at(-1) ?? 'unknown',
  );
  return `Line chart of the pool since ${moment(from)}.${extremes} Now ${last[0]} free, ${last[1]} allocated, ${last[2]} pending, ${last[3]} failed.`;
}

function leaseSummary({ leases_per_minute, refusals_per_minute, p95_ms }: HistoryRecord): string {
  const p95 = p95_ms.at(-1);
  const speed = p95 === null || p95 === undefined ? 'no p95' : `p95 ${latency(p95)}`;
  const [leased, refused] = [leases_per_minute, refusals_per_minute].map((column) =>
    rate(column.at(-1) ?? 0),
  );
  return `Line chart of new leases and refusals per minute, and of the 95th percentile of the answers. Now ${leased} leased and ${refused} refused per minute, ${speed}.`;
}
