import type { Command } from 'commander';
import { as, type RetriedDeletions } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { createOutput, fields } from '../output.ts';
import { onceOnly } from './track-commands.ts';

interface RetryOptions extends GlobalOptions {
  prefix?: string;
}

/** An operator's hand on the deletions that failed. */
export function addDeletionCommands(program: Command): void {
  program
    .command('retry-deletions')
    .description('give every failed deletion a fresh set of attempts, once its cause is mended')
    .option('--prefix <name>', 'only sandboxes whose name begins so')
    .addHelpText(
      'after',
      `
The next cleanup tries them; sandbox-broker cleanup does so at once. Ends with 1 when some could not be changed.

Examples:
  $ sandbox-broker retry-deletions
  $ sandbox-broker retry-deletions --prefix lab-eu- --json`,
    )
    .action(async (_options, command: Command) => {
      const options: RetryOptions = command.optsWithGlobals();
      const done = as<RetriedDeletions>(
        await callerFor(
          'admin',
          options,
        )({
          method: 'POST',
          path: '/v1/admin/retry-deletions',
          query: { prefix: options.prefix },
          headers: onceOnly(),
        }),
      );
      createOutput(options).result(done, () => fields({ ...done }));
      if (done.failed > 0) {
        throw new CliError(`${done.failed} could not be changed. Try again.`, { exitCode: EXIT.failure });
      }
    });
}
