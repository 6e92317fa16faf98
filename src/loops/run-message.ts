import { POOL_STATUSES } from '../domain/sandbox.ts';
import type { RunReport } from './loop.ts';
import type { RunCounts } from './run.ts';

type Phrase = readonly [count: string, say: (count: string) => string];

const some = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

interface Wording {
  /** What the run is about, whatever came of it. */
  begin: (counts: RunCounts) => string;
  /** What came of it, in this order; what is zero is left out. */
  rest: readonly Phrase[];
}

const COULD_NOT: Phrase = ['failed', (count) => `could not write ${count}`];
const HELD_BACK: Phrase = ['dry_run_blocked', (count) => `held ${count} back in a dry run`];
const REMOVED: Wording = {
  begin: ({ deleted = 0 }) => `Removed ${some(deleted, 'record')}`,
  rest: [['skipped', (count) => `left ${count} alone`], COULD_NOT, HELD_BACK],
};

const WORDING: Readonly<Record<string, Wording>> = {
  sync: {
    begin: ({ listed = 0 }) => `Synced ${some(listed, 'sandbox', 'sandboxes')}`,
    rest: [
      ['created', (count) => `added ${count}`],
      ['updated', (count) => `updated ${count}`],
      ['restored', (count) => `restored ${count}`],
      ['revived', (count) => `revived ${count}`],
      ['stale', (count) => `marked ${count} as stale`],
      ['stale_refused', (count) => `refused to mark ${count} as stale`],
      ['gone', (count) => `saw ${count} gone`],
      ['still_listed', (count) => `found ${count} deleted ones still listed`],
      ['delete_again', (count) => `found ${count} to delete again`],
      ['recent', (count) => `left ${count} for the next sync`],
      ['skipped', (count) => `left ${count} that changed meanwhile`],
      COULD_NOT,
      ['duplicates', (count) => `ignored ${count} listed twice`],
      ['invalid', (count) => `ignored ${count} that made no sense`],
    ],
  },
  cleanup: {
    begin: ({ due = 0 }) =>
      `Cleaned up ${some(due, 'sandbox', 'sandboxes')} that ${due === 1 ? 'was' : 'were'} due`,
    rest: [
      ['deleted', (count) => `deleted ${count}`],
      ['recycled', (count) => `recycled ${count}`],
      ['accepted', (count) => `left ${count} to the provider, which is at it`],
      ['still_listed', (count) => `found ${count} to delete again`],
      ['failed', (count) => `failed to delete ${count}`],
      ['parked', (count) => `parked ${count} for an operator`],
      ['skipped', (count) => `left ${count} for later`],
      HELD_BACK,
    ],
  },
  expiry: {
    begin: ({ overdue = 0 }) =>
      `Found ${some(overdue, 'lease')} past ${overdue === 1 ? 'its' : 'their'} time`,
    rest: [
      ['marked', (count) => `took ${count} back`],
      ['cooled', (count) => `freed ${count} that had cooled down`],
      ['skipped', (count) => `left ${count} that changed meanwhile`],
      ['failed', (count) => `could not take ${count} back`],
    ],
  },
  purge: REMOVED,
  counts: {
    begin: (counts) =>
      `Counted ${some(
        Object.values(counts).reduce((sum, each) => sum + each, 0),
        'sandbox',
        'sandboxes',
      )}`,
    rest: POOL_STATUSES.map(
      (status): Phrase => [status, (count) => `${count} ${status.replaceAll('_', ' ')}`],
    ),
  },
};

/** What a run came to, with its numbers in words: `Synced 15 sandboxes, marked 2 as stale`. */
export function runMessage({
  loop,
  outcome,
  counts,
}: Pick<RunReport, 'loop' | 'outcome' | 'counts'>): string {
  switch (outcome) {
    case 'success':
    case 'partial':
      return doneText(loop, counts ?? {});
    case 'refused':
      return counts ? doneText(loop, counts) : `The ${loop} was refused: the dry run is strict`;
    case 'error':
      return `The ${loop} failed`;
    case 'aborted':
      return counts ? `Told to stop: ${doneText(loop, counts)}` : `The ${loop} was told to stop`;
    case 'skipped':
      return `The ${loop} is another replica's, or was done by one already`;
  }
}

function doneText(loop: string, counts: RunCounts): string {
  const wording = WORDING[loop];
  if (wording === undefined) return `The ${loop} is done`;
  const phrases = wording.rest.flatMap(([name, say]) => {
    const count = counts[name] ?? 0;
    return count === 0 ? [] : [say(String(count))];
  });
  return [wording.begin(counts), ...phrases].join(', ');
}
