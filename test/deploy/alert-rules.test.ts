import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';

interface Rule {
  record?: string;
  alert?: string;
  labels?: { severity: string };
  annotations?: { summary: string; runbook_url: string };
}
interface Expectations {
  tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
}

const pathOf = (file: string): string => fileURLToPath(new URL(`../../${file}`, import.meta.url));
const read = (file: string): string => readFileSync(pathOf(file), 'utf8');

const TESTS = ['deploy/prometheus/rules.test.yml', 'deploy/prometheus/rules-days.test.yml'];
const { groups } = parse(read('deploy/prometheus/rules.yml')) as { groups: { rules: Rule[] }[] };
const alerts = groups.flatMap(({ rules }) => rules).filter((rule) => rule.alert !== undefined);
const expectations = TESTS.flatMap((file) => (parse(read(file)) as Expectations).tests).flatMap(
  (each) => each.alert_rule_test,
);

describe('an alert', () => {
  test.each(alerts.map((rule) => [rule.alert ?? '', rule] as const))('%s is complete', (name, rule) => {
    expect(rule.labels?.severity).toMatch(/^(warning|critical)$/);
    expect(rule.annotations?.summary).toBeTruthy();
    expect(rule.annotations?.runbook_url).toBe(`docs/operations.md#${name.toLowerCase()}`);
  });

  test.each(alerts.map(({ alert = '' }) => alert))('%s has a runbook', (name) => {
    expect(read('docs/operations.md')).toMatch(new RegExp(`^#+ ${name}$`, 'm'));
  });

  test.each(alerts.map(({ alert = '' }) => alert))('%s is shown to fire, and not to', (name) => {
    const own = expectations.filter(({ alertname }) => alertname === name);
    expect(own.some(({ exp_alerts }) => exp_alerts.length > 0)).toBe(true);
    expect(own.some(({ exp_alerts }) => exp_alerts.length === 0)).toBe(true);
  });
});

const installed = spawnSync('promtool', ['--version']).error === undefined;
test.skipIf(!installed)(
  `the alerts fire as their tests say${installed ? '' : ' (skipped: promtool is not installed)'}`,
  { timeout: 60_000 },
  () => {
    const { stdout, stderr, status } = spawnSync('promtool', ['test', 'rules', ...TESTS.map(pathOf)], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(stdout.match(/SUCCESS/g)).toHaveLength(TESTS.length);
    expect(status).toBe(0);
  },
);
