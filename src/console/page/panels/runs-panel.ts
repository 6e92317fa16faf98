import { useEffect, useRef } from 'preact/hooks';
import type { Api } from '../broker/api.ts';
import type { JobRecord, LiveJob, StatusRecord } from '../broker/records.ts';
import { useNow, When } from '../clock.ts';
import type { Question } from '../confirmation.ts';
import { html } from '../html.ts';
import { inSteps } from '../sandboxes/bulk-actions.ts';
import { NO_FILTER } from '../sandboxes/sandbox-pages.ts';
import { countsText, grouped, latency, RUN_NAMES, span } from '../wording.ts';

interface RunsPanelProps {
  api: Api;
  status: StatusRecord | undefined;
  jobs: LiveJob[] | undefined;
  /** Absent in read-only mode. */
  ask: ((question: Question) => void) | undefined;
  onNews: (text: string) => void;
  /** To all of them. */
  onJobs: () => void;
}

type Run = JobRecord['type'];

const SHOWN = 5;
const IRREVERSIBLE: readonly Run[] = ['cleanup', 'purge'];
/** Where the API calls a run otherwise. */
const PATHS: { [R in Run]?: string } = { purge: 'auto-delete-stale' };

/** The loops' work at the push of a button, and what becomes of it. */
export function RunsPanel({ api, status, jobs, ask, onNews, onJobs }: RunsPanelProps) {
  useEndings(jobs, onNews);
  const isLocked = status?.dry_run.strict === true;
  const submit = async (run: Run) => {
    await api.post(`/v1/admin/${PATHS[run] ?? run}`, { headers: { prefer: 'respond-async' } });
    return `${RUN_NAMES[run]} is in the queue.`;
  };
  const button = (run: Run) => html`<button
    type="button"
    disabled=${isLocked && IRREVERSIBLE.includes(run)}
    title=${isLocked && IRREVERSIBLE.includes(run) ? 'Locked by the strict dry run.' : undefined}
    onClick=${() => ask?.({ ...questionFor(run, status), act: () => submit(run) })}
  >
    ${RUN_NAMES[run]} now
  </button>`;
  const failed = status?.pool?.deletion_failed ?? 0;
  const retryAll = () =>
    ask?.({
      title: 'Try all failed deletions again?',
      consequences: [
        `Gives ${failed === 1 ? 'the failed deletion' : `each of the ${grouped(failed)} failed deletions`} a fresh set of attempts, due at the next cleanup.`,
        'Where the cause is still there, they will fail again.',
      ],
      inDryRun: 'They will be due, and not be deleted.',
      confirm: 'Retry all',
      act: (_word, work) =>
        inSteps({
          api,
          filter: NO_FILTER,
          path: '/v1/admin/retry-deletions',
          done: 'retried',
          count: failed,
          more: {},
          work,
        }),
    });
  return html`
    <section class="card" aria-labelledby="runs-title">
      <div class="title-line">
        <h2 id="runs-title">Runs</h2>
        <span class="muted">${status && status.worker_queue_length > 0 ? `${status.worker_queue_length} waiting` : null}</span>
      </div>
      ${
        ask
          ? html`<div class="buttons">${button('sync')}${button('cleanup')}${button('expire')}${button('purge')}${failed > 0 ? html`<button type="button" onClick=${retryAll}>Retry all failed</button>` : null}</div>`
          : html`<p class="muted small">Read-only: runs are started by operators with an admin token.</p>`
      }
      <ul class="jobs">
        ${(jobs ?? []).slice(0, SHOWN).map((job) => html`<${JobLine} key=${job.job_id} job=${job} />`)}
        ${jobs?.length === 0 ? html`<li class="muted">No job in the last week.</li>` : null}
        ${jobs === undefined ? html`<li class="muted">Loading</li>` : null}
      </ul>
      <button type="button" class="quiet" onClick=${onJobs}>All jobs</button>
    </section>
  `;
}

/** Says it when a job ends that was seen before. */
function useEndings(jobs: LiveJob[] | undefined, onNews: (text: string) => void): void {
  const open = useRef(new Set<string>());
  useEffect(() => {
    for (const job of jobs ?? []) {
      const isOpen = job.status === 'pending' || job.status === 'running';
      if (isOpen) open.current.add(job.job_id);
      else if (open.current.delete(job.job_id))
        onNews(`${RUN_NAMES[job.type]} ${job.status}: ${endingOf(job)}.`);
    }
  }, [jobs]);
}

function JobLine({ job }: { job: LiveJob }) {
  const name = RUN_NAMES[job.type];
  const { progress } = job;
  const isWhole = (job.result?.['failed'] ?? 0) + (job.result?.['stale_refused'] ?? 0) === 0;
  const completed = isWhole ? 'good' : 'warning';
  const tone = { pending: 'waiting', running: 'waiting', completed, failed: 'bad' }[job.status];
  return html`<li class=${`job ${job.status}`}>
    <i class=${`dot ${tone}`}></i>
    <div>
      <strong>${name}</strong>${' '}
      <span class="muted">
        ${job.status === 'running' ? html`running, <${Elapsed} since=${job.started_at} />` : null}
        ${job.status === 'pending' ? html`waiting ${job.not_before === undefined ? 'for a worker' : 'for the run under way'}` : null}
        ${job.ended_at === undefined ? null : html`${job.status} <${When} at=${job.ended_at} />`}
      </span>
      ${
        job.status === 'running'
          ? html`<progress
              aria-label=${`${name}, progress`}
              max=${progress ? Math.max(1, progress.total) : undefined}
              value=${progress?.done}
            ></progress>`
          : null
      }
      <small class="muted">
        ${progress && job.status === 'running' ? `${grouped(progress.done)} of ${grouped(progress.total)}` : null}
        ${job.ended_at === undefined ? null : endingOf(job)}
        ${job.result?.['duration_ms'] === undefined ? null : ` in ${latency(job.result['duration_ms'])}`}
      </small>
    </div>
  </li>`;
}

const endingOf = ({ error, result, dry_run: isDry }: LiveJob): string =>
  error?.message ?? `${isDry ? 'dry run: ' : ''}${countsText(result ?? {})}`;

function Elapsed({ since }: { since: number | undefined }) {
  const nowMs = useNow();
  return html`${since === undefined ? '' : span(nowMs / 1_000 - since)}`;
}

function questionFor(run: Run, status: StatusRecord | undefined): Omit<Question, 'act'> {
  const pool = status?.pool;
  const given = (pool?.pending_deletion ?? 0) + (pool?.deletion_failed ?? 0);
  switch (run) {
    case 'sync':
      return {
        title: 'Sync with the provider?',
        consequences: [
          'Reads the provider’s whole inventory: takes over what is new or changed, and marks free sandboxes stale that are gone.',
          'Leased sandboxes are left alone. Nothing is deleted.',
          'A sync that would mark too much of the pool stale is refused.',
        ],
        confirm: 'Sync now',
      };
    case 'cleanup':
      return {
        title: 'Clean up now?',
        consequences: [
          `Deletes at the provider what was given back: of ${grouped(given)} waiting, those that are due.`,
          'A deletion cannot be undone. It stops early when the provider fails or the quota is used up.',
        ],
        inDryRun: 'Nothing will be deleted; the run says what it would have done.',
        confirm: 'Clean up now',
        isDangerous: true,
      };
    case 'purge':
      return {
        title: 'Purge now?',
        consequences: [
          'Removes the records of sandboxes that have been stale for a day; what the provider has is not touched.',
          'A record that is removed is gone for good, with its history after 90 days.',
        ],
        inDryRun: 'Nothing will be removed; the run says what it would have done.',
        confirm: 'Purge now',
        isDangerous: true,
      };
    case 'expire':
      return {
        title: 'End overdue leases now?',
        consequences: [
          'Takes back every sandbox whose lease and grace are over. Leases that still run are left alone.',
          'They wait for the next cleanup, which deletes them.',
        ],
        inDryRun: 'Leases end all the same; only the deletion is held back.',
        confirm: 'Expire now',
      };
  }
}
