import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { runbookAnchor } from '../../src/api/runbooks.ts';
import { operationsPage } from '../../src/console/operations-page.ts';
import { RUNTIME_CHECK_NAMES } from '../../src/store/runtime-checks.ts';
import { readDocument } from './documents.ts';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));
/** Who raises alerts, or writes down what they are called. */
const RAISERS = /^(compose|live|loops|provider|safety|usecases)\/.*\.ts$/;

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => RAISERS.test(file))
  .map((file) => readFileSync(`${SRC}${file}`, 'utf8'));

/** The words behind `reason:`, and those that such a line takes from a table of reasons. */
function reasonsIn(source: string): string[] {
  const tables = [...source.matchAll(/REASONS[^=]*= \{([^}]*)\}/g)].map(([, body]) => body ?? '');
  const lines = source.match(/\breason: .*/g) ?? [];
  return [...tables, ...lines].flatMap((text) =>
    [...text.matchAll(/['`]([a-z]+(?:_[a-z]+)+)(?:_\$\{\w+\})?['`]/g)].map(([whole, name = '']) =>
      whole.includes('$') ? `${name}_*` : name,
    ),
  );
}
// One word and a name: too little for the pattern above.
const reasons = new Set([...sources.flatMap(reasonsIn), 'runtime_*']);
// Stands in such a line as a state, and is none.
reasons.delete('half_open');

test('every reason the broker raises an alert for has a runbook', () => {
  expect(reasons.size).toBeGreaterThan(18);
  for (const known of ['pool_empty', 'run_failed', 'breaker_reopened', 'quota_exceeded_*', 'retry_spike']) {
    expect([...reasons]).toContain(known);
  }
  const headings = new Set(
    [...readDocument('docs/operations.md').matchAll(/^### (\S+)$/gm)].map(([, heading]) => heading),
  );
  expect([...reasons].filter((reason) => !headings.has(reason))).toEqual([]);
});

test('every check of the table is in the runbook', () => {
  const operations = readDocument('docs/operations.md');
  expect(RUNTIME_CHECK_NAMES.filter((name) => !operations.includes(`\`runtime_${name}\``))).toEqual([]);
});

test('every alert leads to its runbook, on the page that the broker serves', async () => {
  const page = await operationsPage();
  const lead = [...reasons].map((reason) => runbookAnchor(reason.replace('*', 'csp_delete')));
  expect(lead).toEqual(expect.arrayContaining(['pool_empty', 'quota_exceeded_', 'runtime_']));
  expect(lead.filter((anchor) => !page.includes(`<h3 id="${anchor}">`))).toEqual([]);
});

test('every link of that page leads somewhere on it', async () => {
  const page = await operationsPage();
  const ids = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id));
  const links = [...page.matchAll(/<a href="([^"]+)"/g)].map(([, target = '']) => target);
  expect(links.length).toBeGreaterThan(25);
  expect(links.filter((target) => target !== '/console' && !ids.has(target.slice(1)))).toEqual([]);
});
