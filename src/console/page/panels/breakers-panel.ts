import type { Api } from '../broker/api.ts';
import type { BreakerRecord, StatusRecord } from '../broker/records.ts';
import { When } from '../clock.ts';
import type { Question } from '../confirmation.ts';
import { Handbook } from '../handbook.ts';
import { html } from '../html.ts';
import { DURATIONS, sentence } from '../wording.ts';

const TONES = { closed: 'good', half_open: 'warning', open: 'bad' } as const;

interface BreakersPanelProps {
  api: Api;
  status: StatusRecord | undefined;
  /** Absent in read-only mode. */
  ask: ((question: Question) => void) | undefined;
}

/** What is suspended, why and until when, and a hand on it. */
export function BreakersPanel({ api, status, ask }: BreakersPanelProps) {
  return html`
    <section class="card" aria-labelledby="breakers-title">
      <div class="title-line">
        <h2 id="breakers-title">Circuit breakers</h2>
        <${Handbook} at="circuit-breakers">What they do<//>
      </div>
      <ul class="switches">
        ${(status?.breakers ?? []).map(
          (breaker) => html`<li key=${breaker.name}>
            <${Breaker} breaker=${breaker} />
            ${
              ask
                ? html`<div class="buttons">
                    ${questionsFor(breaker, api).map((question) => html`<button key=${question.confirm} type="button" class="quiet" onClick=${() => ask(question)}>${question.confirm}<span class="visually-hidden"> ${sentence(breaker.name)}</span></button>`)}
                  </div>`
                : null
            }
          </li>`,
        )}
      </ul>
      ${status === undefined ? html`<p class="muted">Loading</p>` : null}
    </section>
  `;
}

function Breaker({ breaker }: { breaker: BreakerRecord }) {
  const { name, state, why, failures, threshold, retry_at: retryAt, override, shared } = breaker;
  return html`<div>
    <i class=${`dot ${TONES[state]}`}></i><strong>${sentence(name)}</strong>${' '}
    <span class="muted">
      ${sentence(state).toLowerCase()}${why === undefined ? null : `: ${why.replaceAll('_', ' ')}`}
      ${override ? html`, held so until <${When} at=${override.until} />` : null}
      ${state === 'open' && retryAt !== undefined && !override ? html`, next probe <${When} at=${retryAt} />` : null}
      ${failures > 0 ? `, ${failures} of ${threshold} failures` : null}
      ${shared ? null : ', this replica’s own'}
    </span>
  </div>`;
}

function questionsFor({ name, state, failures, override }: BreakerRecord, api: Api): Question[] {
  const calls = sentence(name);
  const path = `/v1/admin/breakers/${name}`;
  const hold = (held: 'open' | 'closed', consequences: string[], isDangerous: boolean): Question => ({
    title: `Hold the breaker of ${calls} ${held}?`,
    consequences: [...consequences, 'On every replica; afterwards it is what it was before.'],
    asksFor: 'For how long',
    among: DURATIONS,
    confirm: `Hold ${held}`,
    isDangerous,
    act: async (seconds) => {
      await api.post(`${path}/override`, { body: { state: held, duration_seconds: Number(seconds) } });
      return `The breaker of ${calls} is held ${held}.`;
    },
  });
  const isAsEver = state === 'closed' && failures === 0 && override === undefined;
  return [
    ...(isAsEver
      ? []
      : [
          {
            title: `Reset the breaker of ${calls}?`,
            consequences: [
              'Closes it on every replica: calls are made again at once. Its failures and what an operator said are forgotten.',
              'Where the far side is still not well, it opens again by itself.',
            ],
            confirm: 'Reset',
            act: async () => {
              await api.post(`${path}/reset`);
              return `The breaker of ${calls} is reset.`;
            },
          },
        ]),
    ...(override?.state === 'open' ? [] : [hold('open', ['No call of this kind is made meanwhile.'], false)]),
    ...(override?.state === 'closed'
      ? []
      : [hold('closed', ['Every call of this kind is made meanwhile, whatever fails.'], true)]),
  ];
}
