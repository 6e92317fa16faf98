import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type Api, explain } from '../broker/api.ts';
import type { BrokerState } from '../broker/broker-state.ts';
import type { SandboxEvent, SandboxWithHistory } from '../broker/records.ts';
import { When } from '../clock.ts';
import type { Question } from '../confirmation.ts';
import { Drawer } from '../drawer.ts';
import { html } from '../html.ts';
import { latest } from '../latest.ts';
import { moment, STATUS_NAMES, sentence } from '../wording.ts';
import { actionsFor } from './sandbox-actions.ts';
import type { Filter } from './sandbox-pages.ts';
import { StatusChip } from './status-chip.ts';

interface SandboxDrawerProps {
  api: Api;
  id: string | undefined;
  /** What the table is narrowed down to. */
  filter: Filter;
  changes: BrokerState['changes'];
  /** Absent in read-only mode. */
  ask: ((question: Question) => void) | undefined;
  onClose: () => void;
}

/** One sandbox with its history, and what can be done with it. */
export function SandboxDrawer({ api, id, filter, changes, ask, onClose }: SandboxDrawerProps) {
  const [loaded, setLoaded] = useState<SandboxWithHistory | undefined>();
  const [problem, setProblem] = useState<string | undefined>();
  /** What was asked for before is no answer. */
  const sandbox = loaded?.sandbox_id === id ? loaded : undefined;
  const isConcerned = changes.ids === undefined || (id !== undefined && changes.ids.has(id));
  const version = useRef(0);
  if (isConcerned) version.current = changes.count;

  useLayoutEffect(() => {
    setLoaded(undefined);
    setProblem(undefined);
  }, [id]);

  useEffect(() => {
    if (id === undefined) return undefined;
    const stop = new AbortController();
    const path = `/v1/admin/sandboxes/${encodeURIComponent(id)}`;
    const answered = (found: SandboxWithHistory) => {
      setLoaded(found);
      setProblem(undefined);
    };
    latest(stop.signal, api.get<SandboxWithHistory>(path, stop.signal), answered, (error) =>
      setProblem(explain(error)),
    );
    return () => stop.abort();
  }, [api, id, version.current]);

  const actions = sandbox && ask ? actionsFor(sandbox, filter, api) : [];
  return html`
    <${Drawer} name="drawer" isOpen=${id !== undefined} title=${sandbox?.name ?? id ?? ''} onClose=${onClose}>
        ${problem === undefined ? null : html`<p class="problem" role="alert">${problem}</p>`}
        ${sandbox === undefined && problem === undefined ? html`<p class="muted">Loading</p>` : null}
        ${
          sandbox
            ? html`
                <p role="status"><${StatusChip} status=${sandbox.status} /></p>
                ${
                  ask === undefined
                    ? html`<p class="muted small">Read-only: no actions.</p>`
                    : actions.length === 0
                      ? html`<p class="muted small">Nothing for an operator to do in this status.</p>`
                      : html`<div class="buttons">${actions.map((action) => html`<button key=${action.confirm} type="button" onClick=${() => ask(action)}>${action.confirm}</button>`)}</div>`
                }
                <${Facts} sandbox=${sandbox} />
                <h3>History</h3>
                <${History} events=${sandbox.history} />
              `
            : null
        }
    <//>
  `;
}

/** Every field that there is, in the API's order. */
function Facts({ sandbox }: { sandbox: SandboxWithHistory }) {
  const { name: _name, status: _status, history: _history, ...fields } = sandbox;
  return html`<dl class="facts">
    ${Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(
        ([name, value]) => html`<div key=${name}>
          <dt>${FIELD_NAMES[name] ?? sentence(name)}</dt>
          <dd>${isTime(name) ? html`${moment(Number(value))} <span class="muted">(<${When} at=${Number(value)} />)</span>` : String(value)}</dd>
        </div>`,
      )}
  </dl>`;
}

const FIELD_NAMES: Readonly<Record<string, string>> = {
  sandbox_id: 'Id',
  allocated_to_track: 'Holder',
  track_name: 'Lab',
  sfdc_account_id: 'SFDC account',
};

const TIMES = /_at$|_since$|_until$|^heartbeat_by$/;
const isTime = (name: string): boolean => TIMES.test(name);

function History({ events }: { events: SandboxEvent[] }) {
  if (events.length === 0) return html`<p class="muted">Nothing in the last 90 days.</p>`;
  return html`<ol class="history" reversed>
    ${events.toReversed().map(
      (event) => html`<li key=${event.generation}>
        <strong>${sentence(event.action)}</strong>
        <span class="muted"> by ${event.actor}, <${When} at=${event.at} /></span>
        <small>
          ${event.from === undefined ? '' : `${STATUS_NAMES[event.from]} → `}${STATUS_NAMES[event.to]}
          ${event.allocated_to_track === undefined ? null : html`<span class="muted"> · holder ${event.allocated_to_track}</span>`}
          ${event.detail === undefined ? null : html`<span class="muted"> · ${event.detail}</span>`}
        </small>
        <small class="muted">correlation ${event.correlation_id}</small>
      </li>`,
    )}
  </ol>`;
}
