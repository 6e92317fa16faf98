import type { Command } from 'commander';
import { BrokerError, type SandboxRecord } from '../../client/index.ts';
import { as, type SandboxPage, type SandboxWithHistory } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { createOutput, fields, table, time } from '../output.ts';

/** What an id may be made of; anything else is a holder. */
const ID = /^[A-Za-z0-9._:@-]{1,128}$/;

/** One sandbox with its history, by its id or by who holds it. */
export function addShowCommand(program: Command): void {
  program
    .command('show')
    .description('show a sandbox and its history, by its id or its holder')
    .argument('<id-or-holder>')
    .addHelpText(
      'after',
      `
Examples:
  $ sandbox-broker show sbx-0042
  $ sandbox-broker show student-0042 --json`,
    )
    .action(async (text: string, _options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const { history, ...record } = await findOne(text, options);
      createOutput(options).result({ ...record, history }, () => [
        ...fields({ ...withTimes(record) }),
        '',
        ...table(
          ['AT', 'ACTION', 'ACTOR', 'TO', 'HOLDER', 'DETAIL'],
          history.map((event) => [
            time(event.at),
            event.action,
            event.actor,
            event.to,
            event.allocated_to_track,
            event.detail,
          ]),
        ),
      ]);
    });
}

async function findOne(text: string, options: GlobalOptions): Promise<SandboxWithHistory> {
  const call = callerFor('admin', options);
  const inspect = async (id: string) =>
    as<SandboxWithHistory>(
      await call({ method: 'GET', path: `/v1/admin/sandboxes/${encodeURIComponent(id)}` }),
    );
  if (ID.test(text)) {
    try {
      return await inspect(text);
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'SANDBOX_NOT_FOUND') throw error;
    }
  }
  let cursor: string | undefined;
  do {
    const query = { holder: text, limit: 1, cursor };
    const page = as<SandboxPage>(await call({ method: 'GET', path: '/v1/admin/sandboxes', query }));
    const [found] = page.sandboxes;
    if (found !== undefined) return await inspect(found.sandbox_id);
    cursor = page.cursor;
  } while (cursor !== undefined);
  throw new CliError(`There is no sandbox ${text}, and nobody of that name holds one.`, {
    exitCode: EXIT.failure,
  });
}

/** Epoch seconds in words. */
const withTimes = (record: SandboxRecord): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(record).map(([name, value]) => [
      name,
      name.endsWith('_at') || name === 'stale_since' ? time(Number(value)) : value,
    ]),
  );
