import { POOL_STATUSES, type StatusRecord } from '../broker/records.ts';
import { When } from '../clock.ts';
import { html } from '../html.ts';
import { grouped, latency, rate, STATUS_NAMES } from '../wording.ts';

/** The pool at a glance. */
export function Numbers({ status }: { status: StatusRecord | undefined }) {
  const pool = status?.pool;
  const activity = status?.activity;
  const share = (count: number) => (pool && pool.total > 0 ? Math.round((count / pool.total) * 100) : 0);
  return html`
    <section aria-labelledby="pool-title">
      <div class="title-line">
        <h2 id="pool-title">Pool</h2>
        <span class="muted">
          ${pool ? html`${grouped(pool.total)} sandboxes, counted <${When} at=${pool.as_of} />` : status ? 'Not counted yet' : 'Loading'}
        </span>
      </div>
      ${
        pool?.total === 0
          ? html`<p class="notice">The pool is empty: no sandbox is known. A sync takes over what the provider has.</p>`
          : null
      }
      <dl class="numbers">
        ${POOL_STATUSES.map((name) => {
          const count = pool?.[name];
          const isWorrying =
            (name === 'available' && count === 0) || (name === 'deletion_failed' && (count ?? 0) > 0);
          return html`<div key=${name} class=${`number ${name}${isWorrying ? ' worrying' : count === 0 ? ' zero' : ''}`}>
            <dt>${STATUS_NAMES[name]}</dt>
            <dd>
              <strong>${count === undefined ? '–' : grouped(count)}</strong>
              <span class="muted">${count ? `${share(count)} %` : ''}</span>
              <progress class="share" aria-hidden="true" max="100" value=${share(count ?? 0)}></progress>
            </dd>
          </div>`;
        })}
        <div class="number rate">
          <dt>Leased</dt>
          <dd>
            <strong>${activity ? rate(activity.leases_per_minute) : '–'}</strong><span class="muted">per minute</span>
          </dd>
        </div>
        <div class=${`number rate refusals${(activity?.refusals_per_minute ?? 0) > 0 ? ' worrying' : ''}`}>
          <dt>Refused</dt>
          <dd>
            <strong>${activity ? rate(activity.refusals_per_minute) : '–'}</strong><span class="muted">per minute</span>
          </dd>
        </div>
        <div class="number rate">
          <dt>Allocation p95</dt>
          <dd>
            <strong>${activity ? (activity.p95_ms === null ? '–' : latency(activity.p95_ms)) : '–'}</strong>
            <span class="muted">${activity?.p95_ms === null ? 'none in 5 min' : 'last 5 min'}</span>
          </dd>
        </div>
      </dl>
      ${
        status && status.replicas.length > 1
          ? html`<p class="muted small">Leases, refusals and p95 are those of the replica that this page is connected to.</p>`
          : null
      }
    </section>
  `;
}
