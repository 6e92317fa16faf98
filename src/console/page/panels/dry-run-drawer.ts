import { useEffect, useState } from 'preact/hooks';
import { type Api, explain } from '../broker/api.ts';
import type { DryRunLog } from '../broker/records.ts';
import { When } from '../clock.ts';
import { Drawer } from '../drawer.ts';
import { html } from '../html.ts';
import { latest } from '../latest.ts';
import { sentence } from '../wording.ts';
import { Choice } from './jobs-drawer.ts';

interface DryRunDrawerProps {
  api: Api;
  isOpen: boolean;
  onClose: () => void;
}

/** The newest; more than anybody reads. */
const SHOWN = 200;
const TONES = { executed: 'good', dry_run_blocked: 'warning', error: 'bad' } as const;

/** What cannot be undone, and was done or held back. */
export function DryRunDrawer({ api, isOpen, onClose }: DryRunDrawerProps) {
  const [log, setLog] = useState<DryRunLog | undefined>();
  const [action, setAction] = useState('');
  const [problem, setProblem] = useState<string | undefined>();

  useEffect(() => {
    if (!isOpen) return undefined;
    setLog(undefined);
    setProblem(undefined);
    const stop = new AbortController();
    latest(stop.signal, api.get<DryRunLog>('/v1/admin/dry-run/log', stop.signal), setLog, (error) =>
      setProblem(explain(error)),
    );
    return () => stop.abort();
  }, [api, isOpen]);

  const entries = (log?.entries ?? []).filter((entry) => action === '' || entry.action === action);
  const actions = [...new Set(log?.entries.map((entry) => entry.action))].sort();
  return html`<${Drawer} name="dry-run-drawer" isOpen=${isOpen} title="What cannot be undone" onClose=${onClose}>
    <p class="muted">
      Done, or held back by a dry run: the last 1,000 of the replica that this page is connected to, the newest first.
      ${log ? (log.dry_run ? ` The dry run is on${log.strict ? ', and strict' : ''}.` : ' The dry run is off.') : null}
    </p>
    ${problem === undefined ? null : html`<p class="problem" role="alert">${problem}</p>`}
    ${
      actions.length > 1
        ? html`<${Choice} label="Action" value=${action} values=${actions} onChoice=${setAction} />`
        : null
    }
    ${log && entries.length === 0 ? html`<p class="muted">Nothing yet.</p>` : null}
    ${log === undefined && problem === undefined ? html`<p class="muted">Loading</p>` : null}
    <ol class="entries">
      ${entries
        .toReversed()
        .slice(0, SHOWN)
        .map(
          (entry, index) => html`<li key=${index}>
            <i class=${`dot ${TONES[entry.status]}`}></i>
            <div>
              <strong>${sentence(entry.action)}</strong>${' '}
              <span class="muted">${entry.status.replaceAll('_', ' ')}, <${When} at=${entry.timestamp} /></span>
              <small class="muted">${factsOf(entry.args)}</small>
            </div>
          </li>`,
        )}
    </ol>
  <//>`;
}

const factsOf = (args: Record<string, unknown>): string =>
  Object.entries(args)
    .map(
      ([name, value]) =>
        `${name.replaceAll('_', ' ')} ${typeof value === 'object' ? JSON.stringify(value) : value}`,
    )
    .join(' · ');
