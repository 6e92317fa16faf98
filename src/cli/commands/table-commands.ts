import { readFileSync, statSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { Tools } from '../../compose/tools.ts';
import type { ImportCounts } from '../../usecases/inventory/import-sandboxes.ts';
import type { GlobalOptions } from '../environment.ts';
import { CliError, EXIT, usageError } from '../exit-codes.ts';
import { createOutput, fields } from '../output.ts';
import { startProgress } from '../text/progress.ts';

interface ImportOptions extends GlobalOptions {
  format?: 'csv' | 'json';
  dryRun?: boolean;
}

const STORE_HELP = `
Works on the store itself, with the server's configuration (SANDBOX_DB_URL, DDB_TABLE_NAME, DDB_BUCKETS, …).`;
const TABLE_WITHIN_MS = 120_000;
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const SHOWN_PROBLEMS = 20;

/** What works on the store itself: the table, and sandboxes that come from a file. */
export function addTableCommands(program: Command): void {
  const table = program.command('table').description("the broker's table in DynamoDB");
  const steps = [
    ['create', 'create the table where it is absent, and check it', true],
    ['describe', 'show what the table is like; changes nothing', false],
  ] as const;
  for (const [name, description, creates] of steps) {
    table
      .command(name)
      .description(description)
      .addHelpText(
        'after',
        `${STORE_HELP}\n\nExample:\n  $ SANDBOX_DB_URL=dynamodb://eu-west-1 sandbox-broker table ${name}`,
      )
      .action(async (_options, command: Command) => {
        const options: GlobalOptions = command.optsWithGlobals();
        await withTools(async (tools) => {
          if (creates) await tools.createTable(AbortSignal.timeout(TABLE_WITHIN_MS));
          const report = await tools.describeTable(AbortSignal.timeout(TABLE_WITHIN_MS));
          createOutput(options).result(report, () => fields({ ...report }));
          if (!report.exists) {
            throw new CliError(`There is no table ${report.table}: run sandbox-broker table create.`, {
              exitCode: EXIT.failure,
            });
          }
        });
      });
  }

  program
    .command('import')
    .description('put sandboxes from a CSV or JSON file into the pool, as free ones')
    .argument('<file>', 'the file, or - for standard input')
    .addOption(new Option('--format <format>', "by default by the file's name").choices(['csv', 'json']))
    .option('--dry-run', 'check the file, write nothing')
    .addHelpText(
      'after',
      `
Fields: sandbox_id, name, external_id; sfdc_account_id and status (available) if you like. One bad row, and nothing
is written. A sandbox that has a record already is left as it is, leased or not. What the provider does not list goes
stale at the next sync.
${STORE_HELP}

Examples:
  $ printf 'sandbox_id,name,external_id\\nsbx-1,lab-0001,accounts/1\\n' | sandbox-broker import - --format csv
  $ sandbox-broker export --status available > pool.json && sandbox-broker import pool.json --dry-run`,
    )
    .action(async (file: string, _options, command: Command) => {
      const options: ImportOptions = command.optsWithGlobals();
      const { readRows } = await import('../import-rows.ts');
      const { items, problems } = readRows(readText(file), options.format ?? formatOf(file));
      if (problems.length > 0) {
        const more = problems.length - SHOWN_PROBLEMS;
        const shown = [...problems.slice(0, SHOWN_PROBLEMS), ...(more > 0 ? [`… and ${more} more`] : [])];
        throw new CliError(`Nothing was imported.\n${shown.join('\n')}`, { exitCode: EXIT.failure });
      }
      const counts: ImportCounts = { created: 0, kept: 0 };
      if (!options.dryRun) {
        await withTools(async (tools) => {
          const progress = startProgress('importing', items.length);
          const requestId = `import-${crypto.randomUUID()}`;
          const context = {
            actor: 'admin',
            requestId,
            correlationId: requestId,
            signal: new AbortController().signal,
          };
          try {
            Object.assign(counts, await tools.importSandboxes(items, context, progress.tell));
          } finally {
            progress.end();
          }
        });
      }
      const result = { read: items.length, ...counts, dry_run: options.dryRun === true };
      createOutput(options).result(result, () => fields(result));
      if (counts.failed !== undefined) {
        const named = counts.failed_sandboxes?.join(', ');
        throw new CliError(`${counts.failed} could not be written (${named}). Import the same again.`, {
          exitCode: EXIT.failure,
        });
      }
    });
}

/**
 * Runs a piece of work with the store's tools, and puts them away whatever comes. They are loaded only here: the SDK and
 * what else a server needs would make every other command slow to start.
 */
async function withTools(work: (tools: Tools) => Promise<void>): Promise<void> {
  const [{ composeTools, explainFailure }, { serverConfig }] = await Promise.all([
    import('../../compose/tools.ts'),
    import('../server-config.ts'),
  ]);
  const tools = await composeTools(serverConfig());
  try {
    await work(tools);
  } catch (error) {
    const sentence = explainFailure(error);
    throw sentence === undefined
      ? error
      : new CliError(sentence, { exitCode: EXIT.unreachable, cause: error });
  } finally {
    await tools.close();
  }
}

function formatOf(file: string): 'csv' | 'json' {
  if (/\.csv$/i.test(file)) return 'csv';
  if (/\.json$/i.test(file)) return 'json';
  throw usageError(`Is ${file} CSV or JSON? Say so with --format.`);
}

function readText(file: string): string {
  try {
    if (file !== '-' && statSync(file).size > MAX_FILE_BYTES) {
      throw usageError(`${file} is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB.`);
    }
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(`${file} cannot be read.`, { exitCode: EXIT.usage, cause: error });
  }
}
