import type { Command } from 'commander';
import type { GlobalOptions } from '../environment.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { createOutput } from '../output.ts';
import { table } from '../text/table.ts';

/** The doctor: it says how to mend what is wrong. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('check configuration, store, table, provider, tokens and clocks, and say how to mend each')
    .addHelpText(
      'after',
      `
Reads the server's configuration from the environment and looks at the store as a broker would. A broker that runs at
--url is asked how it serves and gets on with its provider; where none does, the provider is looked at from here. Ends with 0 when all is well, 5 when something is worth a look, 1 when something
has to be mended.

Examples:
  $ sandbox-broker doctor
  $ sandbox-broker doctor --json`,
    )
    .action(async (_options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      // Here, for the same reason as the store's tools.
      const { examine } = await import('./doctor.ts');
      const findings = await examine(options);
      const worst = ['error', 'warning'].find((status) =>
        findings.some((finding) => finding.status === status),
      );
      createOutput(options).result({ status: worst ?? 'ok', checks: findings }, () =>
        table(
          ['CHECK', 'STATUS', 'FINDING'],
          findings.map(({ name, status, message }) => [name, status, message]),
        ),
      );
      if (worst === 'error') throw new CliError('Something has to be mended.', { exitCode: EXIT.failure });
      if (worst === 'warning') throw new CliError('Something is worth a look.', { exitCode: EXIT.warnings });
    });
}
