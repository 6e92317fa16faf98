import type { LoopRecord, StatusRecord } from '../broker/records.ts';
import { When } from '../clock.ts';
import { html } from '../html.ts';
import { countsText, latency, sentence } from '../wording.ts';

/** The loops with their last and next run, as the replica asked knows them. */
export function LoopsPanel({ status }: { status: StatusRecord | undefined }) {
  return html`
    <section class="card" aria-labelledby="loops-title">
      <div class="title-line">
        <h2 id="loops-title">Loops</h2>
        <span class="muted">${status && status.replicas.length > 1 ? 'as this replica knows them' : null}</span>
      </div>
      <table class="loops">
        <thead>
          <tr><th scope="col">Loop</th><th scope="col">Last run</th><th scope="col">Next</th></tr>
        </thead>
        <tbody>
          ${(status?.loops ?? []).map(
            (loop) =>
              html`<${Loop} key=${loop.name} loop=${loop} isHealthy=${status?.heartbeat[loop.name]?.is_healthy} />`,
          )}
        </tbody>
      </table>
      ${status === undefined ? html`<p class="muted">Loading</p>` : null}
    </section>
  `;
}

/** How a run that was none is called. */
const FAILURES: { [Outcome in NonNullable<LoopRecord['last_run']>['outcome']]?: string } = {
  partial: 'failed in part',
  refused: 'refused',
  error: 'failed',
};

function Loop({ loop, isHealthy }: { loop: LoopRecord; isHealthy: boolean | undefined }) {
  const { name, last_run: run, recent_runs: recent, left_to_others_at: othersAt, next_run_at: nextAt } = loop;
  const failure = run === null ? undefined : FAILURES[run.outcome];
  const isPartial = run?.outcome === 'partial';
  const tone =
    isHealthy === false || (failure !== undefined && !isPartial)
      ? 'bad'
      : recent.with_failures > 0
        ? 'warning'
        : isHealthy
          ? 'good'
          : 'waiting';
  const isOthers = othersAt !== null && othersAt > (run?.ended_at ?? 0);
  return html`<tr>
    <th scope="row"><i class=${`dot ${tone}`}></i>${sentence(name)}</th>
    <td>
      ${
        run === null
          ? isOthers
            ? null
            : 'none yet'
          : html`${failure === undefined ? null : html`<strong class="bad-text">${failure}</strong> `}<${When} at=${run.ended_at} />
              <small class="muted">
                ${name === 'counts' ? latency(run.duration_ms) : `${failure === undefined || isPartial ? countsText(run.counts) : 'see the alerts'}, ${latency(run.duration_ms)}`}
              </small>`
      }
      ${
        recent.with_failures > 0
          ? html`<small class="bad-text">failures in ${recent.with_failures} of the last ${recent.runs} runs</small>`
          : null
      }
      ${isOthers && othersAt !== null ? html`<small class="muted">another replica’s turn, <${When} at=${othersAt} /></small>` : null}
      ${isHealthy === false ? html`<small class="bad-text">no sign of life</small>` : null}
    </td>
    <td>${nextAt === null ? 'running' : html`<${When} at=${nextAt} />`}</td>
  </tr>`;
}
