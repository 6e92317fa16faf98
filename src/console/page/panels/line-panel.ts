import type { Api } from '../broker/api.ts';
import type { LineRecord, PlaceRecord } from '../broker/records.ts';
import { When } from '../clock.ts';
import type { Question } from '../confirmation.ts';
import { Handbook } from '../handbook.ts';
import { html } from '../html.ts';
import { grouped, span } from '../wording.ts';

interface LinePanelProps {
  api: Api;
  line: LineRecord | undefined;
  /** Absent in read-only mode. */
  ask: ((question: Question) => void) | undefined;
}

/** Who waits, since when and for how long yet, the head first. */
export function LinePanel({ api, line, ask }: LinePanelProps) {
  const more = line ? line.waiting - line.places.length : 0;
  return html`
    <section class="card line-panel" aria-labelledby="line-title">
      <div class="title-line">
        <h2 id="line-title">Line</h2>
        <span class="muted">
          ${line === undefined ? 'Loading' : line.waiting === 0 ? 'Nobody waits.' : line.waiting === 1 ? 'One waits.' : `${grouped(line.waiting)} wait.`}
        </span>
        <${Handbook} at="the-line">How it is served<//>
      </div>
      <ol class="places" aria-label="Who waits, the head first">
        ${(line?.places ?? []).map(
          (place) => html`<li key=${place.ticket_id}>
            <${Place} place=${place} />
            ${
              ask
                ? html`<button type="button" class="quiet" onClick=${() => ask(removal(place, api))}>Remove<span class="visually-hidden"> ${place.holder}</span></button>`
                : null
            }
          </li>`,
        )}
      </ol>
      ${more > 0 ? html`<p class="muted small">and ${grouped(more)} behind them</p>` : null}
    </section>
  `;
}

function Place({ place }: { place: PlaceRecord }) {
  const facts = [
    place.track_name === undefined ? [] : `lab ${place.track_name}`,
    place.priority === 0 ? [] : `priority ${place.priority}`,
    place.name_prefix === undefined ? [] : `only ${place.name_prefix}…`,
  ].flat();
  return html`
    <strong class="position">${place.position}</strong>
    <div>
      <strong>${place.holder}</strong>
      <span class="muted"> joined <${When} at=${place.joined_at} />${facts.map((fact) => `, ${fact}`)}</span>
      <small class="muted">${place.eta_seconds === null ? 'nobody knows for how long yet' : `expected in about ${span(place.eta_seconds)}`}</small>
    </div>
  `;
}

const removal = ({ holder, ticket_id: ticket, position }: PlaceRecord, api: Api): Question => ({
  title: `Remove ${holder} from the line?`,
  consequences: [
    `Its place, ${position} at the moment, is taken away; whoever is behind it moves up.`,
    'Its caller is told so (409 PLACE_LOST). If it asks again, it joins at the end.',
  ],
  confirm: 'Remove',
  isDangerous: true,
  act: async () => {
    await api.delete(`/v1/admin/line/${ticket}`);
    return `${holder} has no place in the line any more.`;
  },
});
