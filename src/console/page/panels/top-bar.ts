import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Connection } from '../broker/follow.ts';
import type { SessionRecord, StatusRecord } from '../broker/records.ts';
import { useNow } from '../clock.ts';
import { Handbook } from '../handbook.ts';
import { html } from '../html.ts';
import { Logo } from '../logo.ts';
import { span, VERDICT_NAMES } from '../wording.ts';

interface TopBarProps {
  connection: Connection;
  status: StatusRecord | undefined;
  session: SessionRecord;
  isReadOnly: boolean;
  onReadOnly: (readOnly: boolean) => void;
  onLeave: () => void;
  /** Between how it stands and who is here. */
  children?: ComponentChildren;
}

/** What is always in sight: whether and how it serves, whether the page is up to date, and who is here. */
export function TopBar({
  connection,
  status,
  session,
  isReadOnly,
  onReadOnly,
  onLeave,
  children,
}: TopBarProps) {
  const standing = standingOf(connection, status);
  // For who has the page open behind others.
  useEffect(() => {
    document.title = `${standing.words} · Sandbox Broker`;
  }, [standing.words]);
  return html`
    <header class="top-bar">
      <div class="bar">
      <div class="brand"><${Logo} /><h1>Sandbox Broker</h1></div>
      <${Verdict} ...${standing} />
      <${ConnectionState} connection=${connection} />
      ${children}
      <div class="who">
        ${
          session.can_change
            ? html`<label class="switch">
                <input
                  type="checkbox"
                  role="switch"
                  checked=${isReadOnly}
                  onChange=${(event: Event) => onReadOnly((event.currentTarget as HTMLInputElement).checked)}
                />
                Read-only
              </label>`
            : html`<span class="chip" title="This token may look and change nothing.">Viewer: read-only</span>`
        }
        <button type="button" class="quiet" onClick=${onLeave}>Log out</button>
      </div>
      </div>
      <${Reasons} connection=${connection} status=${status} />
    </header>
  `;
}

/** How it stands, in a word or two, and in its colour. */
function standingOf(
  connection: Connection,
  status: StatusRecord | undefined,
): { words: string; tone: string } {
  if (connection.state === 'lost' || !status?.readiness) return { words: 'Not known', tone: 'unknown' };
  const { verdict } = status.readiness;
  return { words: VERDICT_NAMES[verdict], tone: verdict };
}

function Verdict({ words, tone }: { words: string; tone: string }) {
  return html`<span class=${`verdict ${tone}`}>${words}</span>`;
}

/** Why it does not serve, or serves with a but, in full: it is what one has opened the page for. */
function Reasons({ connection, status }: Pick<TopBarProps, 'connection' | 'status'>) {
  const { verdict, reasons } = status?.readiness ?? { verdict: 'go', reasons: [] };
  const isLost = connection.state === 'lost';
  const tone = isLost ? 'lost' : verdict;
  // Always there: what appears in it is told to who cannot see it.
  return html`<div class=${`reasons ${tone}`} role="status">
    ${isLost ? html`<p>${connection.why} What is shown below is older.</p>` : null}
    ${isLost || reasons.length === 0 ? null : html`<ul>${reasons.map((reason) => html`<li key=${reason}>${reason}</li>`)}</ul>`}
    ${isLost || reasons.length === 0 ? null : html`<${Handbook} at="go-serving-but-no-go">What this means<//>`}
  </div>`;
}

function ConnectionState({ connection }: { connection: Connection }) {
  const nowMs = useNow();
  switch (connection.state) {
    case 'connecting':
      return html`<span class="connection" role="status"><i class="dot waiting"></i>Connecting</span>`;
    case 'live':
      return html`<span class="connection" role="status"><i class="dot good"></i>Live</span>`;
    case 'lost': {
      const { newsAtMs, retryAtMs } = connection;
      const age =
        newsAtMs === undefined ? 'no news yet' : `last news ${span((nowMs - newsAtMs) / 1_000)} ago`;
      const next = retryAtMs > nowMs ? `next try in ${span((retryAtMs - nowMs) / 1_000)}` : 'trying';
      return html`<span class="connection lost">
        <i class="dot bad"></i><span role="status">Reconnecting</span><span>, ${age}, ${next}</span>
      </span>`;
    }
  }
}
