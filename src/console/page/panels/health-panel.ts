import type { StatusRecord } from '../broker/records.ts';
import { When } from '../clock.ts';
import { html } from '../html.ts';
import { sentence, VERDICT_NAMES } from '../wording.ts';

const STATE_WORDS = { ok: 'ok', degraded: 'degraded', failing: 'failing' } as const;
const STATE_TONES = { ok: 'good', degraded: 'warning', failing: 'bad' } as const;

/** The verdict with every check, and who is there. */
export function HealthPanel({ status }: { status: StatusRecord | undefined }) {
  const readiness = status?.readiness;
  const checks = Object.entries(readiness?.checks ?? {}).map(([name, check]) => ({ name, ...check }));
  const fine = checks.filter(({ status: state }) => state === 'ok');
  return html`
    <section class="card" aria-labelledby="health-title">
      <div class="title-line">
        <h2 id="health-title">${readiness ? VERDICT_NAMES[readiness.verdict] : 'Readiness'}</h2>
        <span class="muted">${readiness ? html`checked <${When} at=${readiness.last_check} />` : 'not known yet'}</span>
      </div>
      <${Checks} of=${checks.filter(({ status: state }) => state !== 'ok')} />
      ${
        fine.length === 0
          ? null
          : html`<details class="fine-checks">
              <summary>${fine.length === checks.length ? `All ${fine.length} checks are ok` : `${fine.length} others are ok`}</summary>
              <${Checks} of=${fine} />
            </details>`
      }
      <h3>Replicas</h3>
      <ul class="replicas">
        ${(status?.replicas ?? []).map((name) => html`<li key=${name}>${name}</li>`)}
        ${status && status.replicas.length === 0 ? html`<li class="muted">none has been heard of</li>` : null}
      </ul>
    </section>
  `;
}

type Check = NonNullable<StatusRecord['readiness']>['checks'][string];

/** What is amiss is in sight; what is well can be looked at. */
function Checks({ of }: { of: (Check & { name: string })[] }) {
  return html`<ul class="checks">
    ${of.map(
      ({ name, status, detail }) => html`<li key=${name}>
        <i class=${`dot ${STATE_TONES[status]}`}></i>
        <span>${sentence(name)}</span>
        <span class="muted">${detail ?? STATE_WORDS[status]}</span>
      </li>`,
    )}
  </ul>`;
}
