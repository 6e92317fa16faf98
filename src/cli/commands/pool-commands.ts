import { type Command, Option } from 'commander';
import type { Alert, Alerts } from '../../api/types/alerts.ts';
import type { PoolStats, SandboxList } from '../../api/types/sandboxes.ts';
import type { Status } from '../../api/types/status.ts';
import { ALERT_SEVERITIES } from '../../domain/resilience/alert.ts';
import { SANDBOX_STATUSES } from '../../domain/sandbox.ts';
import { as } from '../answers.ts';
import { brokerUrl, callerFor, type GlobalOptions } from '../environment.ts';
import { createOutput, fields, time } from '../output.ts';
import { collect, limitOption, moreNote } from '../pages.ts';
import { wholeNumber } from '../text/numbers.ts';
import { SANDBOX_COLUMNS, sandboxRow } from '../text/sandbox-rows.ts';
import { statusLines } from '../text/status-lines.ts';
import { severity } from '../text/tones.ts';

interface ListOptions extends GlobalOptions {
  status?: string;
  prefix?: string;
  holder?: string;
  holderPrefix?: string;
  lab?: string;
  find?: string;
  minSeverity?: string;
  task?: string;
  limit: number;
}

/** What operators look at: the pool, how it is served, and the alerts. */
export function addPoolCommands(program: Command): void {
  program
    .command('list')
    .description('list sandboxes')
    .addOption(new Option('--status <status>', 'only in this status').choices(SANDBOX_STATUSES))
    .option('--find <text>', 'by id, whole holder, or the beginning of a name')
    .option('--prefix <name>', 'only names that begin so')
    .option('--holder <id>', 'only leases of this holder')
    .option('--holder-prefix <text>', 'only leases of holders that begin so')
    .option('--lab <name>', 'only leases of labs that begin so')
    .addOption(limitOption(50))
    .addHelpText(
      'after',
      `
Examples:
  $ sandbox-broker list --status deletion_failed
  $ sandbox-broker list --holder student-0042
  $ sandbox-broker list --holder-prefix student- --limit 500 --json`,
    )
    .action(async (_options, command: Command) => {
      const options: ListOptions = command.optsWithGlobals();
      const { status, find, prefix, holder, holderPrefix, lab } = options;
      const found = await collect(options, async (limit, cursor) => {
        const query = { status, find, prefix, holder, holder_prefix: holderPrefix, lab, limit, cursor };
        const page = as<SandboxList>(
          await callerFor('admin', options)({ method: 'GET', path: '/v1/admin/sandboxes', query }),
        );
        return { items: page.sandboxes, cursor: page.cursor };
      });
      const { items: sandboxes, more } = found;
      const output = createOutput(options);
      output.result({ sandboxes, count: sandboxes.length, more }, () =>
        output.table(SANDBOX_COLUMNS, sandboxes.map(sandboxRow)).concat(moreNote(more)),
      );
    });

  program
    .command('stats')
    .description("show the pool's counts")
    .addHelpText('after', '\nExample:\n  $ sandbox-broker stats --json')
    .action(async (_options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const stats = as<PoolStats>(
        await callerFor('admin', options)({ method: 'GET', path: '/v1/admin/stats' }),
      );
      createOutput(options).result(stats, () => fields({ ...stats, as_of: time(stats.as_of) }));
    });

  program
    .command('status')
    .description('show whether and how the broker serves, and what limits it')
    .addHelpText('after', '\nExample:\n  $ sandbox-broker status --json')
    .action(async (_options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const status = as<Status>(
        await callerFor('admin', options)({ method: 'GET', path: '/v1/admin/status' }),
      );
      createOutput(options).result(status, () => statusLines(status));
    });

  program
    .command('alerts')
    .description('list the alerts of the last week, the newest first')
    .addOption(new Option('--min-severity <severity>', 'this severity and above').choices(ALERT_SEVERITIES))
    .option('--task <task>', 'only of this task, such as sync or pool')
    .addOption(new Option('--limit <count>', 'at most so many').argParser(wholeNumber(1, 1_000)).default(20))
    .addHelpText('after', '\nExample:\n  $ sandbox-broker alerts --min-severity critical')
    .action(async (_options, command: Command) => {
      const options: ListOptions = command.optsWithGlobals();
      const query = { min_severity: options.minSeverity, task: options.task, limit: options.limit };
      const list = as<Alerts>(
        await callerFor('admin', options)({ method: 'GET', path: '/v1/admin/alerts', query }),
      );
      const output = createOutput(options);
      const rows = list.alerts.map((alert) => [
        time(alert.timestamp),
        severity(alert.severity),
        alert.task,
        alert.reason,
        JSON.stringify(alert.context),
      ]);
      output.result(list, () => [
        ...output.table(['TIME', 'SEVERITY', 'TASK', 'REASON', 'CONTEXT'], rows),
        ...runbookLines(list.alerts, brokerUrl(options)),
      ]);
    });
}

/** Where it says what to do about each reason. */
function runbookLines(alerts: readonly Alert[], broker: string): string[] {
  const runbooks = new Map(alerts.map(({ reason, runbook }) => [reason, new URL(runbook, broker).href]));
  return runbooks.size === 0 ? [] : ['', 'What to do:', ...fields(Object.fromEntries(runbooks))];
}
