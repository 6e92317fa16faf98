import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { createFakeClock } from '../support/broker/core.ts';
import { temporaryFolder } from '../support/temp-folder.ts';

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { h: number; w: number; x: number; y: number };
  targets?: { refId: string; expr: string; legendFormat: string }[];
}

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
const { panels } = JSON.parse(read('deploy/grafana/sandbox-broker.json')) as { panels: Panel[] };
const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** What Grafana puts in for its variables. */
const filledIn = (expression: string): string =>
  expression.replaceAll('$job', 'sandbox-broker').replaceAll('$__rate_interval', '1m');

/** Every metric's name in a PromQL expression, a histogram's without what its series are called by. */
const metricsIn = (text: string): string[] =>
  [...text.matchAll(/\b(?:broker|http|process|nodejs)_[a-z0-9_]+/g)].map(([name]) =>
    name.replace(/_bucket$/, ''),
  );

test('every panel has an id and a place of its own', () => {
  expect(panels.length).toBeGreaterThan(30);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const taken = new Set<string>();
  for (const { gridPos, title } of panels) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken.has(`${x} ${y}`), title).toBe(false);
        taken.add(`${x} ${y}`);
      }
    }
  }
});

test('every panel asks for something, of the chosen job only', () => {
  for (const { type, title, targets = [] } of panels) {
    expect(targets.length > 0, title).toBe(type !== 'row');
    expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
  }
  for (const expression of expressions) expect(expression).toContain('job=~"$job"');
});

test('dashboard and alerts ask for what a broker tells, and for nothing else', async () => {
  const { body } = await createMetrics(createFakeClock()).text();
  const told = [...body.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  const asked = new Set(metricsIn([...expressions, read('deploy/prometheus/rules.yml')].join('\n')));
  // `job:broker_pool_available:fresh` is the rules' own, made of the metric in its middle.
  expect([...asked].filter((name) => !told.includes(name))).toEqual([]);
});

const installed = spawnSync('promtool', ['--version']).error === undefined;
test.skipIf(!installed)(
  `promtool understands every expression${installed ? '' : ' (skipped: promtool is not installed)'}`,
  async () => {
    const file = join(await temporaryFolder(), 'expressions.yml');
    const rules = expressions.map((expression, index) => ({
      record: `dashboard:expression_${index}`,
      expr: filledIn(expression),
    }));
    await writeFile(file, stringify({ groups: [{ name: 'dashboard', rules }] }));
    const { stdout, stderr, status } = spawnSync('promtool', ['check', 'rules', file], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(stdout).toContain(`${expressions.length} rules found`);
    expect(status).toBe(0);
  },
);
