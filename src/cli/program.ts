import { Command, Option } from 'commander';
import { addDeletionCommands } from './commands/deletion-commands.ts';
import { addEventsCommand } from './commands/events-command.ts';
import { addExportCommand } from './commands/export-command.ts';
import { addJobCommands } from './commands/job-commands.ts';
import { addLineCommands } from './commands/line-commands.ts';
import { addLookCommands } from './commands/look-commands.ts';
import { addOnceCommands } from './commands/once-commands.ts';
import { addPoolCommands } from './commands/pool-commands.ts';
import { addQuarantineCommands } from './commands/quarantine-commands.ts';
import { addReleaseCommand } from './commands/release-command.ts';
import { addRunCommands } from './commands/run-commands.ts';
import { addSafetyCommands } from './commands/safety-commands.ts';
import { addShowCommands } from './commands/show-command.ts';
import { addTableCommands } from './commands/table-commands.ts';
import { addTrackCommands } from './commands/track-commands.ts';
import { addWatchCommand } from './commands/watch-command.ts';
import { addCompletionCommand } from './completion.ts';
import { addDoctorCommand } from './doctor/doctor-command.ts';
import { setVariable } from './environment.ts';
import { EXIT_HELP } from './exit-codes.ts';
import { wholeNumber } from './text/numbers.ts';

const ENVIRONMENT_HELP = `
Environment:
  BROKER_URL          the broker's address (http://127.0.0.1:8080)
  BROKER_API_TOKEN    a track's token, for allocate, extend and release --holder
  BROKER_ADMIN_TOKEN  an operator's token, for everything else
  NO_COLOR            no colours; there are some on a terminal only
  The development tokens are used for a broker on this machine where none is set. Secrets are never arguments: every
  user of a machine can read those. serve, doctor, table and import read the server's variables, too.`;

/** The whole command line. Its parser throws a `CommanderError` instead of ending the process. */
export function createProgram(version: string): Command {
  const program = new Command('sandbox-broker')
    .description('Leases ready-made sandboxes to labs, CI pipelines and agents: one sandbox, one holder.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(sandbox-broker --help says more)')
    .configureHelp({ showGlobalOptions: true })
    .option('--url <url>', "the broker's address; by default BROKER_URL")
    .option('--token-file <file>', 'a file that holds the token, instead of the environment')
    .addOption(
      new Option('--timeout <seconds>', 'for a call with its retries')
        .argParser(wholeNumber(1, 86_400))
        .default(30),
    )
    .option('--json', 'the result as JSON on standard output; an error as JSON on standard error')
    .option('--wide', 'tables in full; by default they are cut to the terminal')
    .addHelpText(
      'after',
      `${EXIT_HELP}
${ENVIRONMENT_HELP}

Examples:
  $ sandbox-broker serve
  $ sandbox-broker allocate --holder student-1
  $ sandbox-broker list --status allocated
  $ sandbox-broker doctor`,
    );

  program.commandsGroup('To run it:');
  program
    .command('serve')
    .description('run a broker in the foreground, until SIGTERM or SIGINT')
    .option('--host <address>', 'instead of HOST')
    .option('--port <port>', 'instead of PORT; 0 takes any free one')
    .option('--db <url>', 'instead of SANDBOX_DB_URL')
    .addHelpText(
      'after',
      `
Everything else comes from the environment; .env.example lists it all. Ends with 1 when the start fails.

Examples:
  $ sandbox-broker serve --port 9000 --db memory:
  $ NODE_ENV=production sandbox-broker serve --db dynamodb://eu-west-1`,
    )
    .action(async ({ host, port, db }: { host?: string; port?: string; db?: string }) => {
      setVariable('HOST', host);
      setVariable('PORT', port);
      setVariable('SANDBOX_DB_URL', db);
      // From here on the process is the server.
      await import('../main.ts');
    });
  program.commandsGroup('For who uses sandboxes:');
  addTrackCommands(program);
  addReleaseCommand(program);
  program.commandsGroup('To look at:');
  addPoolCommands(program);
  addShowCommands(program);
  addWatchCommand(program);
  addEventsCommand(program);
  addLineCommands(program);
  addJobCommands(program);
  addExportCommand(program);
  addOnceCommands(program);
  addLookCommands(program);
  program.commandsGroup('To do something about it:');
  addRunCommands(program);
  addDeletionCommands(program);
  addQuarantineCommands(program);
  addSafetyCommands(program);
  program.commandsGroup('To set it up:');
  addDoctorCommand(program);
  addTableCommands(program);
  addCompletionCommand(program);
  return program;
}
