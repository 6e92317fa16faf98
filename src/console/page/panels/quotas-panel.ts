import { type Api, ApiError } from '../broker/api.ts';
import type { QuotaRecord, StatusRecord } from '../broker/records.ts';
import type { Question } from '../confirmation.ts';
import { Handbook } from '../handbook.ts';
import { html } from '../html.ts';
import { grouped, sentence, span } from '../wording.ts';

interface QuotasPanelProps {
  api: Api;
  status: StatusRecord | undefined;
  /** Absent in read-only mode. */
  ask: ((question: Question) => void) | undefined;
}

/** How often something may be done, how often it was, and a hand on it. */
export function QuotasPanel({ api, status, ask }: QuotasPanelProps) {
  return html`
    <section class="card" aria-labelledby="quotas-title">
      <div class="title-line">
        <h2 id="quotas-title">Quotas</h2>
        <${Handbook} at="quotas">What they do<//>
      </div>
      <ul class="switches">
        ${(status?.governor ?? []).map(
          (quota) => html`<li key=${quota.resource}>
            <${Quota} quota=${quota} />
            ${
              ask
                ? html`<div class="buttons">
                    ${questionsFor(quota, api).map((question) => html`<button key=${question.confirm} type="button" class="quiet" onClick=${() => ask(question)}>${question.confirm}<span class="visually-hidden"> ${sentence(quota.resource)}</span></button>`)}
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

function Quota({ quota }: { quota: QuotaRecord }) {
  const { resource, scope, current_actions: used, max_actions: max, window_seconds: seconds } = quota;
  const isUsedUp = max !== null && used >= max;
  const tone = isUsedUp ? 'bad' : max !== null && used > max * 0.8 ? 'warning' : 'good';
  return html`<div>
    <i class=${`dot ${tone}`}></i><strong>${sentence(resource)}</strong>${' '}
    <span class="muted">
      ${grouped(used)}${max === null ? '' : ` of ${grouped(max)}`} in ${span(seconds)}${max === null ? ', no limit' : ''}${scope === 'local' ? ', on this replica' : ''}
      ${quota.overridden ? ', set by an operator' : ''}
    </span>
    ${quota.denied_count > 0 ? html`<small class="bad-text">${grouped(quota.denied_count)} refused by this replica since its start</small>` : null}
  </div>`;
}

const MAX = 1_000_000_000;

function questionsFor(quota: QuotaRecord, api: Api): Question[] {
  const { resource, max_actions: max, window_seconds: seconds, overridden } = quota;
  const name = sentence(resource);
  const path = `/v1/admin/governor/${resource}`;
  const change: Question = {
    title: `Change the quota of ${name}?`,
    consequences: [
      `It is ${max === null ? 'unlimited' : grouped(max)} in any ${span(seconds)} now; what was used stays counted.`,
      'On every replica within seconds, and over restarts, until it is reset. 0 stops the thing altogether.',
    ],
    asksFor: 'Uses in any window, or none for no limit',
    preset: max === null ? 'none' : String(max),
    confirm: 'Change',
    act: async (word) => {
      const next = word === 'none' ? null : Number(word);
      if (next !== null && !(/^\d+$/.test(word) && next <= MAX)) {
        throw new ApiError(`Say a whole number up to ${grouped(MAX)}, or none.`, {
          status: 400,
          code: 'INVALID_REQUEST',
        });
      }
      await api.put(path, { max_actions: next });
      return `The quota of ${name} is ${next === null ? 'unlimited' : grouped(next)}.`;
    },
  };
  const reset: Question = {
    title: `Reset the quota of ${name}?`,
    consequences: ['Every replica goes by what it was configured with again.'],
    confirm: 'Reset',
    act: async () => {
      await api.delete(path);
      return `The quota of ${name} is reset.`;
    },
  };
  return overridden ? [change, reset] : [change];
}
