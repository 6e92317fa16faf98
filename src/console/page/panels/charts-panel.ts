import { useMemo } from 'preact/hooks';
import type { HistoryRecord } from '../broker/records.ts';
import { When } from '../clock.ts';
import { html } from '../html.ts';
import { grouped, latency, moment, rate, span } from '../wording.ts';
import { Chart, type Line } from './chart.ts';

const tickOfMs = (ms: number): string => (ms < 1_000 ? `${Number(ms.toFixed(1))} ms` : `${ms / 1_000} s`);

const POOL_LINES: Line[] = [
  { label: 'Free', color: '--free', fill: true },
  { label: 'Allocated', color: '--allocated' },
  { label: 'Pending', color: '--pending' },
  { label: 'Failed', color: '--failed' },
];
const LEASE_LINES: Line[] = [
  { label: 'Leases per minute', color: '--allocated', fill: true },
  { label: 'p95', color: '--pending', axis: 'right', format: latency, tick: tickOfMs },
];

/** The last hours, as far as this process remembers them. */
export function ChartsPanel({ history }: { history: HistoryRecord | undefined }) {
  const pool = useMemo(
    () =>
      history && [
        history.at,
        history.available,
        history.allocated,
        history.pending_deletion,
        history.deletion_failed,
      ],
    [history],
  );
  const leases = useMemo(() => history && [history.at, history.leases_per_minute, history.p95_ms], [history]);
  return html`
    <section class="charts" aria-label="The last hours">
      <figure class="card">
        <figcaption>
          <h2>Pool over time</h2>
          <span class="muted">${history ? html`<${Reach} history=${history} />` : 'Loading'}</span>
        </figcaption>
        ${pool && history ? html`<${Chart} lines=${POOL_LINES} data=${pool} summary=${poolSummary(history)} />` : null}
      </figure>
      <figure class="card">
        <figcaption><h2>Leases</h2><span class="muted">per minute, and how long they took</span></figcaption>
        ${leases && history ? html`<${Chart} lines=${LEASE_LINES} data=${leases} summary=${leaseSummary(history)} />` : null}
      </figure>
    </section>
  `;
}

/** A young process knows little, and says so. */
function Reach({ history }: { history: HistoryRecord }) {
  const isYoung = Date.now() / 1_000 - history.since < history.kept_seconds;
  if (!isYoung) return html`the last ${span(history.kept_seconds)}`;
  return html`<span title=${`Kept in memory, up to ${span(history.kept_seconds)}.`}>
    this process started <${When} at=${history.since} />; nothing is known from before
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

function leaseSummary({ leases_per_minute, p95_ms }: HistoryRecord): string {
  const p95 = p95_ms.at(-1);
  const speed = p95 === null || p95 === undefined ? 'no p95' : `p95 ${latency(p95)}`;
  return `Line chart of new leases per minute and their 95th percentile. Now ${rate(leases_per_minute.at(-1) ?? 0)} per minute, ${speed}.`;
}
