import { useEffect, useState } from 'preact/hooks';
import { type Api, explain } from '../broker/api.ts';
import { JOB_STATUSES, JOB_TYPES, type JobPage, type JobRecord, type LiveJob } from '../broker/records.ts';
import { When } from '../clock.ts';
import { Drawer } from '../drawer.ts';
import { html } from '../html.ts';
import { latest } from '../latest.ts';
import { countsText, latency, moment, RUN_NAMES, sentence } from '../wording.ts';

interface JobsDrawerProps {
  api: Api;
  isOpen: boolean;
  /** The newest ones, as they change. */
  newest: LiveJob[] | undefined;
  onClose: () => void;
}

const PAGE = 50;
const TONES = { pending: 'waiting', running: 'waiting', completed: 'good', failed: 'bad' } as const;

/** The jobs of the last week: who asked for them, who ran them, what became of them. */
export function JobsDrawer({ api, isOpen, newest, onClose }: JobsDrawerProps) {
  const [type, setType] = useState('');
  const [status, setStatus] = useState('');
  const [jobs, setJobs] = useState<JobRecord[] | undefined>();
  const [cursor, setCursor] = useState<string | undefined>();
  const [problem, setProblem] = useState<string | undefined>();
  const states = newest?.map((job) => `${job.job_id} ${job.status}`).join();

  const pathOf = (from?: string) => {
    const query = new URLSearchParams({ limit: String(PAGE) });
    for (const [name, value] of Object.entries({ type, status, cursor: from ?? '' }))
      if (value !== '') query.set(name, value);
    return `/v1/admin/jobs?${query}`;
  };
  const failed = (error: unknown) => setProblem(explain(error));

  useEffect(() => {
    if (!isOpen) return undefined;
    const stop = new AbortController();
    const answered = (page: JobPage) => {
      setJobs(page.jobs);
      setCursor(page.cursor);
      setProblem(undefined);
    };
    latest(stop.signal, api.get<JobPage>(pathOf(), stop.signal), answered, failed);
    return () => stop.abort();
  }, [api, isOpen, type, status, states]);

  async function more(): Promise<void> {
    try {
      const page = await api.get<JobPage>(pathOf(cursor));
      setJobs((before) => [...(before ?? []), ...page.jobs]);
      setCursor(page.cursor);
    } catch (error) {
      failed(error);
    }
  }

  return html`<${Drawer} name="jobs-drawer" isOpen=${isOpen} title="Jobs" onClose=${onClose}>
    <p class="muted">Of the last week, the newest first.</p>
    <div class="choices">
      <${Choice} label="Type" value=${type} values=${JOB_TYPES} onChoice=${setType} />
      <${Choice} label="Status" value=${status} values=${JOB_STATUSES} onChoice=${setStatus} />
    </div>
    ${problem === undefined ? null : html`<p class="problem" role="alert">${problem}</p>`}
    ${jobs === undefined && problem === undefined ? html`<p class="muted">Loading</p>` : null}
    ${jobs?.length === 0 ? html`<p class="muted">None.</p>` : null}
    <ul class="entries">${(jobs ?? []).map((job) => html`<${Job} key=${job.job_id} job=${job} />`)}</ul>
    ${cursor === undefined ? null : html`<button type="button" class="secondary outline" onClick=${() => void more()}>Older ones</button>`}
  <//>`;
}

interface ChoiceProps {
  label: string;
  value: string;
  values: readonly string[];
  onChoice: (value: string) => void;
}

export function Choice({ label, value, values, onChoice }: ChoiceProps) {
  return html`<label class="choice">
    ${label}
    <select value=${value} onChange=${(event: Event) => onChoice((event.currentTarget as HTMLSelectElement).value)}>
      <option value="">Any</option>
      ${values.map((each) => html`<option key=${each} value=${each}>${sentence(each)}</option>`)}
    </select>
  </label>`;
}

function Job({ job }: { job: JobRecord }) {
  const { job_id, type, status, submitted_at, ended_at, result, dry_run, error } = job;
  const facts: [string, string | undefined][] = [
    ['Id', job_id],
    ['Submitted', `${moment(submitted_at)} by ${job.submitted_by}`],
    ['Started', job.started_at === undefined ? undefined : moment(job.started_at)],
    ['Ended', ended_at === undefined ? undefined : moment(ended_at)],
    ['Worker', job.worker],
    ['Attempts', String(job.attempts)],
    ['Options', Object.keys(job.options).length === 0 ? undefined : JSON.stringify(job.options)],
    ['Correlation', job.correlation_id],
  ];
  const ending = error?.message ?? (result ? countsText(result) : undefined);
  return html`<li>
    <i class=${`dot ${TONES[status]}`}></i>
    <details>
      <summary>
        <strong>${RUN_NAMES[type]}</strong>${' '}
        <span class="muted">${status}, <${When} at=${ended_at ?? submitted_at} /></span>
        ${ending === undefined ? null : html`<small class="muted">${dry_run ? 'dry run: ' : ''}${ending}${result?.['duration_ms'] === undefined ? '' : ` in ${latency(result['duration_ms'])}`}</small>`}
      </summary>
      <dl class="facts">
        ${facts.map(([name, value]) => (value === undefined ? null : html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`))}
      </dl>
    </details>
  </li>`;
}
