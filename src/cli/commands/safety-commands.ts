import { Argument, type Command, Option } from 'commander';
import type { Breaker } from '../../api/types/breakers.ts';
import type { DryRunLog } from '../../api/types/dry-run.ts';
import type { Quota } from '../../api/types/quotas.ts';
import { ACTIONS, RESOURCES } from '../../domain/resilience/action.ts';
import { as } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { onceOnly } from '../once-only.ts';
import { createOutput, fields, time, withTimes } from '../output.ts';
import { durationSeconds, wholeNumber } from '../text/numbers.ts';
import type { Cell } from '../text/table.ts';
import { breakerState, type Toned } from '../text/tones.ts';

interface OverrideOptions extends GlobalOptions {
  for: number;
}

interface SetOptions extends GlobalOptions {
  window?: number;
}

interface DryRunOptions extends GlobalOptions {
  action?: string;
}

const MAX_ACTIONS = 999_999_999;

/** A hand on what holds the broker back: breakers, quotas, the dry run. */
export function addSafetyCommands(program: Command): void {
  addBreakerCommands(program);
  addQuotaCommands(program);
  addDryRunCommand(program);
}

function addBreakerCommands(program: Command): void {
  const breakers = program
    .command('breakers')
    .description('show the circuit breakers: what is suspended, why, and until when')
    .addHelpText(
      'after',
      `
Examples:
  $ sandbox-broker breakers
  $ sandbox-broker breakers reset csp_delete
  $ sandbox-broker breakers override csp_delete open --for 1h`,
    )
    .action(async (_options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const { breakers: list } = as<{ breakers: Breaker[] }>(
        await callerFor('admin', options)({ method: 'GET', path: '/v1/admin/breakers' }),
      );
      const rows = list.map((each): Cell[] => [
        each.name,
        breakerState(each.state),
        each.why,
        `${each.failures}/${each.threshold}`,
        time(each.since),
        time(each.retry_at),
        each.override && `${each.override.state} until ${time(each.override.until)}`,
      ]);
      const output = createOutput(options);
      output.result({ breakers: list }, () =>
        output.table(['NAME', 'STATE', 'WHY', 'FAILURES', 'SINCE', 'NEXT PROBE', 'OVERRIDE'], rows),
      );
    });

  breakers
    .command('reset')
    .description('close a breaker: its failures and what an operator said are forgotten')
    .argument('<name>')
    .addHelpText('after', '\nExample:\n  $ sandbox-broker breakers reset csp_delete')
    .action(async (name: string, _options, command: Command) => {
      await changeBreaker(name, 'reset', command.optsWithGlobals());
    });

  breakers
    .command('override')
    .description('hold a breaker for a while: open, and no call is made; closed, and every call is')
    .argument('<name>')
    .addArgument(new Argument('<state>').choices(['open', 'closed']))
    .addOption(
      new Option('--for <time>', 'how long, such as 30m or 2h; a day at the most')
        .argParser(durationSeconds)
        .makeOptionMandatory(),
    )
    .addHelpText('after', '\nExample:\n  $ sandbox-broker breakers override csp_delete open --for 2h')
    .action(async (name: string, state: string, _options, command: Command) => {
      const options: OverrideOptions = command.optsWithGlobals();
      await changeBreaker(name, 'override', options, { state, duration_seconds: options.for });
    });
}

async function changeBreaker(name: string, verb: string, options: GlobalOptions, body?: unknown) {
  const path = `/v1/admin/breakers/${encodeURIComponent(name)}/${verb}`;
  const order = { method: 'POST', path, body, headers: onceOnly() } as const;
  const breaker = as<Breaker>(await callerFor('admin', options)(order));
  createOutput(options).result(breaker, () => fields(withTimes({ ...breaker })));
}

function addQuotaCommands(program: Command): void {
  const resource = () => new Argument('<resource>').choices(RESOURCES);
  const quota = program
    .command('quota')
    .description('show the quotas: what is used of them, and who changed one')
    .addHelpText(
      'after',
      `
Examples:
  $ sandbox-broker quota
  $ sandbox-broker quota set csp_delete 500 --window 1h
  $ sandbox-broker quota set csp_delete none
  $ sandbox-broker quota reset csp_delete`,
    )
    .action(async (_options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const { resources } = as<{ resources: Quota[] }>(
        await callerFor('admin', options)({ method: 'GET', path: '/v1/admin/governor' }),
      );
      const output = createOutput(options);
      output.result({ resources }, () =>
        output.table(
          ['RESOURCE', 'USED', 'LIMIT', 'WINDOW', 'REFUSED', 'COUNTED', 'SET BY'],
          resources.map(quotaRow),
        ),
      );
    });

  quota
    .command('set')
    .description('change a quota on every replica, until it is reset; 0 stops the thing altogether')
    .addArgument(resource())
    .addArgument(new Argument('<max>', 'uses in any window, or none for no limit').argParser(actionsOrNone))
    .addOption(
      new Option('--window <time>', 'the length of the window, such as 1h; as it was unless given').argParser(
        durationSeconds,
      ),
    )
    .addHelpText('after', '\nExample:\n  $ sandbox-broker quota set csp_delete 500 --window 1h')
    .action(async (name: string, max: number | null, _options, command: Command) => {
      const options: SetOptions = command.optsWithGlobals();
      await changeQuota(name, 'PUT', options, { max_actions: max, window_seconds: options.window });
    });

  quota
    .command('reset')
    .description('take a change of a quota back: each replica goes by its configuration again')
    .addArgument(resource())
    .addHelpText('after', '\nExample:\n  $ sandbox-broker quota reset csp_delete')
    .action(async (name: string, _options, command: Command) => {
      await changeQuota(name, 'DELETE', command.optsWithGlobals());
    });
}

const actionsOrNone = (text: string): number | null =>
  text === 'none' ? null : wholeNumber(0, MAX_ACTIONS)(text);

async function changeQuota(name: string, method: 'PUT' | 'DELETE', options: GlobalOptions, body?: unknown) {
  const path = `/v1/admin/governor/${encodeURIComponent(name)}`;
  const changed = as<Quota>(await callerFor('admin', options)({ method, path, body }));
  createOutput(options).result(changed, () => fields({ ...changed }));
}

const quotaRow = (quota: Quota): Cell[] => [
  quota.resource,
  usedOf(quota),
  quota.max_actions ?? 'none',
  `${quota.window_seconds} s`,
  quota.denied_count,
  quota.scope === 'global' ? 'by all replicas' : 'by each replica',
  quota.overridden ? 'an operator' : 'configuration',
];

const usedOf = ({ current_actions: used, max_actions: max }: Quota): Toned | number =>
  max !== null && used >= max ? { text: String(used), tone: 'bad' } : used;

function addDryRunCommand(program: Command): void {
  program
    .command('dry-run')
    .description('show what cannot be undone and was done, or was held back by a dry run; of one replica')
    .addOption(new Option('--action <action>', 'only of this action').choices(Object.keys(ACTIONS)))
    .addHelpText('after', '\nExample:\n  $ sandbox-broker dry-run --action csp_delete')
    .action(async (_options, command: Command) => {
      const options: DryRunOptions = command.optsWithGlobals();
      const log = as<DryRunLog>(
        await callerFor(
          'admin',
          options,
        )({
          method: 'GET',
          path: '/v1/admin/dry-run/log',
          query: { action: options.action },
        }),
      );
      const output = createOutput(options);
      output.result(log, () => [
        ...fields({ dry_run: log.dry_run, strict: log.strict }),
        '',
        ...output.table(
          ['AT', 'ACTION', 'WHAT BECAME OF IT', 'OF'],
          log.entries.map((entry) => [
            time(entry.timestamp),
            entry.action,
            entry.status,
            JSON.stringify(entry.args),
          ]),
        ),
      ]);
    });
}
