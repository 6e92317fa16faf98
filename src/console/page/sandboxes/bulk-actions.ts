import { useState } from 'preact/hooks';
import { type Api, explain } from '../broker/api.ts';
import type { SandboxStatus } from '../broker/records.ts';
import type { Question, Work } from '../confirmation.ts';
import { html } from '../html.ts';
import { countsText, grouped } from '../wording.ts';
import { type Filter, parametersOf } from './sandbox-pages.ts';

interface BulkActionsProps {
  api: Api;
  filter: Filter;
  ask: (question: Question) => void;
}

/** How many a filter means, and as of when, epoch seconds. */
interface Counted {
  count: number;
  as_of: number;
}

/** What one can do with all that the filters mean: it is counted first. */
interface Bulk {
  name: string;
  /** Those in this status are meant. */
  status: SandboxStatus;
  questionFor: (counted: Counted) => Question;
}

/** Sandboxes to one step, so that one sees how far it is, and can stop it. */
const STEP = 100;

/** An operator's hand on all that the table would show over all its pages. */
export function BulkActions({ api, filter, ask }: BulkActionsProps) {
  const [counting, setCounting] = useState<string | undefined>();
  const [problem, setProblem] = useState<string | undefined>();
  const begin = async ({ name, status, questionFor }: Bulk) => {
    setCounting(name);
    setProblem(undefined);
    try {
      const query = parametersOf({ ...filter, status }, {});
      ask(questionFor(await api.get<Counted>(`/v1/admin/sandbox-count?${query}`)));
    } catch (error) {
      setProblem(explain(error));
    } finally {
      setCounting(undefined);
    }
  };
  return html`
    ${problem === undefined ? null : html`<span class="problem" role="alert">${problem}</span>`}
    ${bulksFor(filter, api).map(
      (bulk) => html`<button
        key=${bulk.name}
        type="button"
        class="quiet"
        disabled=${counting !== undefined}
        onClick=${() => void begin(bulk)}
      >
        ${counting === bulk.name ? 'Counting' : bulk.name}
      </button>`,
    )}
  `;
}

function bulksFor(filter: Filter, api: Api): Bulk[] {
  const { status, ...others } = filter;
  const isNarrowed = Object.values(others).some((value) => value !== '');
  const isAbout = (one: SandboxStatus) => status === one || (status === '' && isNarrowed);
  return [
    ...(isAbout('allocated') ? [releaseAll(filter, api, isNarrowed)] : []),
    ...(isAbout('deletion_failed') ? [retryAll(filter, api)] : []),
    // The broker removes all records in a status, whatever else they are.
    ...((status === 'stale' || status === 'deletion_failed') && !isNarrowed ? [removeAll(status, api)] : []),
  ];
}

const some = (count: number, one: string, many: string): string =>
  count === 1 ? `one ${one}` : `${grouped(count)} ${many}`;

const NONE = 'There is none that these filters mean.';

function releaseAll(filter: Filter, api: Api, isNarrowed: boolean): Bulk {
  const questionFor = ({ count, as_of: asOf }: Counted): Question => ({
    title: `Release ${some(count, 'sandbox', 'sandboxes')}?`,
    consequences: [
      `Ends ${some(count, 'lease', 'leases')} at once${inWords(filter)}. Whoever is working in the sandboxes loses them.`,
      'Whoever gets a sandbox from now on keeps it.',
      'The next cleanup deletes them at the provider. That cannot be undone.',
    ],
    inDryRun: 'The leases end all the same; only the deletion is held back.',
    confirm: 'Release all',
    refusal: count === 0 ? NONE : undefined,
    isDangerous: true,
    act: (_word, work) => {
      const more = { leased_before: String(asOf), ...(isNarrowed ? {} : { all: 'true' }) };
      return inSteps({ api, filter, path: '/v1/admin/release', done: 'released', count, more, work });
    },
  });
  return { name: 'Release all', status: 'allocated', questionFor };
}

function retryAll(filter: Filter, api: Api): Bulk {
  const questionFor = ({ count }: Counted): Question => ({
    title: `Try ${some(count, 'deletion', 'deletions')} again?`,
    consequences: [
      `Gives ${some(count, 'failed deletion', 'failed deletions')}${inWords(filter)} a fresh set of attempts, due at the next cleanup.`,
      'Where the cause is still there, they will fail again.',
    ],
    inDryRun: 'They will be due, and not be deleted.',
    confirm: 'Retry all',
    refusal: count === 0 ? NONE : undefined,
    act: (_word, work) =>
      inSteps({ api, filter, path: '/v1/admin/retry-deletions', done: 'retried', count, more: {}, work }),
  });
  return { name: 'Retry all', status: 'deletion_failed', questionFor };
}

function removeAll(status: 'stale' | 'deletion_failed', api: Api): Bulk {
  const questionFor = ({ count }: Counted): Question => ({
    title: `Remove ${some(count, 'record', 'records')}?`,
    consequences: [
      `Removes the ${some(count, 'record', 'records')} in this status. What the provider has is not touched: it is for what is gone there for good.`,
      'That cannot be undone.',
    ],
    inDryRun: 'Nothing will be removed.',
    confirm: 'Remove all',
    refusal: count === 0 ? NONE : undefined,
    isDangerous: true,
    act: async () => {
      const {
        deleted = 0,
        skipped = 0,
        failed = 0,
      } = await api.post<Record<string, number>>(`/v1/admin/bulk-delete?status=${status}`);
      return `Records: ${countsText({ removed: deleted, skipped, failed })}.`;
    },
  });
  return { name: 'Remove records', status, questionFor };
}

interface StepsOptions {
  api: Api;
  filter: Filter;
  path: string;
  /** What the answer calls those that were changed. */
  done: 'released' | 'retried';
  count: number;
  more: Record<string, string>;
  work: Work;
}

type Step = Record<'found' | 'skipped' | 'failed' | 'released' | 'retried', number> & {
  cursor?: string | undefined;
};

/** Step by step to the end, or until it is stopped; gives what came of it. What was done by then stays done. */
export async function inSteps({ api, filter, path, done, count, more, work }: StepsOptions): Promise<string> {
  const sums = { found: 0, changed: 0, skipped: 0, failed: 0 };
  let cursor: string | undefined;
  do {
    work.tell(Math.min(sums.found, count), count);
    const query = parametersOf({ ...filter, status: '' }, { limit: String(STEP), ...more });
    if (cursor !== undefined) query.set('cursor', cursor);
    const step = await api.post<Step>(`${path}?${query}`);
    sums.found += step.found;
    sums.changed += step[done];
    sums.skipped += step.skipped;
    sums.failed += step.failed;
    cursor = step.cursor;
  } while (cursor !== undefined && !work.signal.aborted);
  const told = countsText({ [done]: sums.changed, skipped: sums.skipped, could_not_be_changed: sums.failed });
  return cursor === undefined ? `All done: ${told}.` : `Stopped: ${told} of ${grouped(count)}.`;
}

/** Which ones, as the filters say. */
function inWords({ find, holder, lab }: Filter): string {
  const parts = [
    find === '' ? '' : `found by ${find}`,
    holder === '' ? '' : `of holders that begin with ${holder}`,
    lab === '' ? '' : `of labs that begin with ${lab}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? '' : `, ${parts.join(', ')}`;
}
