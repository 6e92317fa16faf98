import { useEffect, useRef, useState } from 'preact/hooks';
import type { Api } from './broker/api.ts';
import { useBroker } from './broker/broker-state.ts';
import type { SessionRecord } from './broker/records.ts';
import { rememberedReadOnly, rememberReadOnly } from './broker/session.ts';
import { Confirmation, type Question } from './confirmation.ts';
import { html } from './html.ts';
import { News } from './news.ts';
import { AlertsPanel } from './panels/alerts-panel.ts';
import { BreakersPanel } from './panels/breakers-panel.ts';
import { ChartsPanel } from './panels/charts-panel.ts';
import { DryRunDrawer } from './panels/dry-run-drawer.ts';
import { HealthPanel } from './panels/health-panel.ts';
import { JobsDrawer } from './panels/jobs-drawer.ts';
import { LinePanel } from './panels/line-panel.ts';
import { LookUp } from './panels/look-up.ts';
import { LoopsPanel } from './panels/loops-panel.ts';
import { Numbers } from './panels/numbers.ts';
import { QuotasPanel } from './panels/quotas-panel.ts';
import { RunsPanel } from './panels/runs-panel.ts';
import { TopBar } from './panels/top-bar.ts';
import { type RangeName, usePlace } from './place.ts';
import { SandboxesPanel } from './sandboxes/sandboxes-panel.ts';
import { zoneName } from './wording.ts';

interface ConsoleProps {
  api: Api;
  session: SessionRecord;
  onLeave: () => void;
}

/** The page that an operator leaves open. */
export function Console({ api, session, onLeave }: ConsoleProps) {
  const broker = useBroker(api);
  const [isReadOnly, setReadOnly] = useState(rememberedReadOnly() || !session.can_change);
  const [question, setQuestion] = useState<Question | undefined>();
  const [news, setNews] = useState('');
  const { status, connection } = broker;
  const isStale = connection.state === 'lost';
  const table = useRef<HTMLElement>(null);
  const [place, go] = usePlace();
  // Whoever goes elsewhere has left the question.
  useEffect(() => setQuestion(undefined), [place]);

  const switchReadOnly = (readOnly: boolean) => {
    rememberReadOnly(readOnly);
    setReadOnly(readOnly);
  };
  const skip = (event: Event) => {
    event.preventDefault();
    table.current?.focus();
  };
  const closePanel = () => go({ panel: undefined });
  const ask = isReadOnly ? undefined : setQuestion;

  return html`
    <a class="skip" href="#sandboxes" onClick=${skip}>Skip to the sandboxes</a>
    <${TopBar}
      connection=${connection}
      status=${status}
      session=${session}
      isReadOnly=${isReadOnly}
      onReadOnly=${switchReadOnly}
      onLeave=${onLeave}
    >
      <${LookUp} api=${api} find=${place.filter.find} onPlace=${go} onFound=${() => table.current?.focus()} />
    <//>
    ${
      status?.dry_run.enabled
        ? html`<p class="banner" role="note">
            <strong>Dry run${status.dry_run.strict ? ', strict' : ''}.</strong>
            ${' '}Nothing that cannot be undone is done: no sandbox is deleted, no record removed. Held back so far:${' '}
            ${status.dry_run.blocked}.${' '}
            <button type="button" class="quiet" onClick=${() => go({ panel: 'dry-run' })}>What was held back</button>
          </p>`
        : null
    }
    <main class=${isStale ? 'page outdated' : 'page'}>
      <${Numbers} status=${status} />
      <${ChartsPanel} history=${broker.history} range=${place.range} onRange=${(range: RangeName) => go({ range })} />
      <div class="columns">
        <${HealthPanel} status=${status} />
        <${LoopsPanel} status=${status} />
        <${RunsPanel} api=${api} status=${status} jobs=${broker.jobs} ask=${ask} onNews=${setNews} onJobs=${() => go({ panel: 'jobs' })} />
        <${AlertsPanel} alerts=${broker.alerts} error=${broker.alertsError} />
      </div>
      <${LinePanel} api=${api} line=${broker.line} ask=${ask} />
      <div class="columns of-two">
        <${BreakersPanel} api=${api} status=${status} ask=${ask} />
        <${QuotasPanel} api=${api} status=${status} ask=${ask} />
      </div>
      <${SandboxesPanel}
        api=${api}
        broker=${broker}
        place=${place}
        onPlace=${go}
        ask=${ask}
        panel=${table}
      />
    </main>
    <footer class="muted">
      <button type="button" class="quiet" onClick=${() => go({ panel: 'dry-run' })}>What cannot be undone</button> ·${' '}
      ${status ? html`Version ${status.version} · ${status.replicas.length === 1 ? 'one replica' : `${status.replicas.length} replicas`} · times in ${zoneName()}` : null}
    </footer>
    <${JobsDrawer} api=${api} isOpen=${place.panel === 'jobs'} newest=${broker.jobs} onClose=${closePanel} />
    <${DryRunDrawer} api=${api} isOpen=${place.panel === 'dry-run'} onClose=${closePanel} />
    <${News} text=${news} />
    <${Confirmation} question=${question} dryRun=${status?.dry_run} onClose=${() => setQuestion(undefined)} onNews=${setNews} />
  `;
}
