import type { Command } from 'commander';
import type { SandboxWithHistory } from '../../api/types/sandboxes.ts';
import type { GlobalOptions } from '../environment.ts';
import { lookUp } from '../look-up.ts';
import { createOutput, fields, time, withTimes } from '../output.ts';
import type { Cell } from '../text/table.ts';
import { sandboxStatus } from '../text/tones.ts';

const NAMED_BY = '<id|name|holder>';

/** One sandbox and what became of it, by its id, its name, or who holds it. */
export function addShowCommands(program: Command): void {
  program
    .command('show')
    .description('show a sandbox and its history, by its id, its name or its holder')
    .argument(NAMED_BY)
    .addHelpText(
      'after',
      `
A whole id counts first, then a whole holder or name, then the beginning of a name. Where several are meant they are
listed, and it ends with 1; with 3 where none is.

Examples:
  $ sandbox-broker show sbx-0042
  $ sandbox-broker show student-0042 --json`,
    )
    .action(async (text: string, _options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const found = await lookUp(text, options);
      const { history, ...record } = found;
      const output = createOutput(options);
      output.result(found, () => [
        ...fields(withTimes(record)),
        '',
        ...output.table(EVENT_COLUMNS, history.map(eventRow)),
      ]);
    });

  program
    .command('history')
    .description('show who did what with a sandbox in the last 90 days, the newest last')
    .argument(NAMED_BY)
    .addHelpText(
      'after',
      `
CORRELATION leads to the log's lines of the call that did it.

Examples:
  $ sandbox-broker history lab-0042
  $ sandbox-broker history student-0042 --wide`,
    )
    .action(async (text: string, _options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const { sandbox_id, name, history } = await lookUp(text, options);
      const output = createOutput(options);
      output.result({ sandbox_id, name, history }, () =>
        output.table(
          [...EVENT_COLUMNS, 'CORRELATION'],
          history.map((event) => [...eventRow(event), event.correlation_id]),
        ),
      );
    });
}

const EVENT_COLUMNS = ['AT', 'ACTION', 'ACTOR', 'TO', 'HOLDER', 'DETAIL'];

const eventRow = (event: SandboxWithHistory['history'][number]): Cell[] => [
  time(event.at),
  event.action,
  event.actor,
  sandboxStatus(event.to),
  event.allocated_to_track,
  event.detail,
];
