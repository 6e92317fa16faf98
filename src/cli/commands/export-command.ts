import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { PoolStats } from '../../api/types/sandboxes.ts';
import { SANDBOX_STATUSES } from '../../domain/sandbox.ts';
import { as } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { printText } from '../output.ts';
import { startProgress } from '../text/progress.ts';

interface ExportOptions extends GlobalOptions {
  format: 'csv' | 'json';
  output?: string;
  status?: string;
}

/** The whole pool as a file, as it comes: a large one is never in memory at once. */
export function addExportCommand(program: Command): void {
  program
    .command('export')
    .description('write all sandboxes as JSON or CSV')
    .addOption(new Option('--format <format>', 'json or csv').choices(['json', 'csv']).default('json'))
    .addOption(new Option('--status <status>', 'only in this status').choices(SANDBOX_STATUSES))
    .option('--output <file>', 'a file instead of standard output; it is there when it is complete')
    .addHelpText(
      'after',
      `
Times are epoch seconds. Without --status, records of deleted sandboxes are left out. Each export uses up one of the quota
data_export.

Examples:
  $ sandbox-broker export --format csv --output pool.csv
  $ sandbox-broker export --status allocated | head`,
    )
    .action(async (_options, command: Command) => {
      const options: ExportOptions = command.optsWithGlobals();
      const file = options.output === undefined ? undefined : openFile(options.output);
      const write = file?.write ?? printText;
      try {
        await writePool(options, write);
        file?.keep();
      } finally {
        file?.drop();
      }
    });
}

/** Lines that are no sandbox: the columns' names; the beginning and the end. */
const NO_SANDBOXES = { csv: 1, json: 2 };

async function writePool(options: ExportOptions, write: (text: string) => void): Promise<void> {
  const call = callerFor('admin', options);
  const { status, format } = options;
  const stats: Readonly<Record<string, number>> = {
    ...as<PoolStats>(await call({ method: 'GET', path: '/v1/admin/stats' })),
  };
  const query = { status, format };
  const answer = await call({ method: 'GET', path: '/v1/admin/export', query, stream: true });
  const progress = startProgress('exporting', stats[status ?? 'total'] ?? 0);
  const decoder = new TextDecoder();
  let lines = 0;
  try {
    for await (const bytes of as<ReadableStream<Uint8Array>>(answer)) {
      const text = decoder.decode(bytes, { stream: true });
      lines += text.split('\n').length - 1;
      progress.tell(Math.max(0, lines - NO_SANDBOXES[format]));
      write(text);
    }
  } catch (cause) {
    throw new CliError('The export broke off, and is not complete.', { exitCode: EXIT.unreachable, cause });
  } finally {
    progress.end();
  }
}

/** A file that takes its name when it is complete. */
function openFile(path: string) {
  const draft = `${path}.part`;
  let kept = false;
  try {
    const fd = openSync(draft, 'w');
    return {
      write: (text: string) => void writeSync(fd, text),
      keep() {
        renameSync(draft, path);
        kept = true;
      },
      drop() {
        closeSync(fd);
        if (!kept) rmSync(draft, { force: true });
      },
    };
  } catch (error) {
    throw new CliError(`${path} cannot be written.`, { exitCode: EXIT.usage, cause: error });
  }
}
