import type { AlertList, AlertRecord } from '../broker/records.ts';
import { When } from '../clock.ts';
import { Handbook } from '../handbook.ts';
import { html } from '../html.ts';
import { sentence } from '../wording.ts';

const TONES = { info: 'waiting', warning: 'warning', error: 'bad', critical: 'bad' } as const;
/** They are in every alert, and of use in the log only. */
const IDS = ['request_id', 'correlation_id'];

/** What was worth a word lately, the newest first. */
export function AlertsPanel({ alerts, error }: { alerts: AlertList | undefined; error: string | undefined }) {
  return html`
    <section class="card alerts-panel" aria-labelledby="alerts-title">
      <div class="title-line">
        <h2 id="alerts-title">Alerts</h2>
        <span class="muted">
          ${alerts?.source === 'this_replica' ? 'this replica’s only: the store does not answer' : 'of the last 7 days'}
        </span>
      </div>
      ${error === undefined ? null : html`<p class="problem" role="alert">${error}</p>`}
      ${alerts === undefined && error === undefined ? html`<p class="muted">Loading</p>` : null}
      ${alerts?.alerts.length === 0 ? html`<p class="muted">None. Nothing was worth an alert.</p>` : null}
      <ol class="alerts" tabindex=${alerts && alerts.alerts.length > 4 ? 0 : undefined} aria-label="Alerts, the newest first">
        ${(alerts?.alerts ?? []).map((alert) => html`<${Alert} key=${alert.id} alert=${alert} />`)}
      </ol>
    </section>
  `;
}

function Alert({ alert }: { alert: AlertRecord }) {
  const facts = Object.entries(alert.context)
    .filter(([name]) => !IDS.includes(name))
    .map(
      ([name, value]) =>
        `${name.replaceAll('_', ' ')} ${typeof value === 'object' ? JSON.stringify(value) : value}`,
    );
  return html`<li>
    <i class=${`dot ${TONES[alert.severity]}`}></i>
    <div>
      <strong>${sentence(alert.reason)}</strong>
      <span class="muted"> ${alert.severity}, ${alert.task.replaceAll('_', ' ')}, <${When} at=${alert.timestamp} /></span>
      <small class="muted">${facts.join(' · ')}</small>
      ${alert.runbook === undefined ? null : html`<${Handbook} to=${alert.runbook}>What to do<span class="visually-hidden"> about: ${sentence(alert.reason)}</span><//>`}
    </div>
  </li>`;
}
