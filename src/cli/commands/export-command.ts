import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { SandboxRecord } from '../../client/index.ts';
import { SANDBOX_STATUSES } from '../../domain/sandbox.ts';
import { as, type PoolStats, type SandboxPage } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { printText } from '../output.ts';
import { startProgress } from '../progress.ts';

interface ExportOptions extends GlobalOptions {
  format: 'csv' | 'json';
  output?: string;
  status?: string;
}

const COLUMNS = [
  'sandbox_id',
  'name',
  'external_id',
  'sfdc_account_id',
  'status',
  'allocated_to_track',
  'track_name',
  'allocated_at',
  'expires_at',
  'reclaim_at',
  'deletion_requested_at',
  'deletion_retry_count',
  'deletion_error',
  'deletion_due_at',
  'stale_since',
  'deleted_at',
  'deletion_reason',
  'created_at',
  'updated_at',
  'lease_id',
] as const satisfies (keyof SandboxRecord)[];

const PAGE = 100;

/** The whole pool as a file, page by page: a large one is never in memory at once. */
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
Times are epoch seconds. Without --status, records of deleted sandboxes are left out.

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

async function writePool(options: ExportOptions, write: (text: string) => void): Promise<void> {
  const call = callerFor('admin', options);
  const { status } = options;
  const stats = as<PoolStats>(await call({ method: 'GET', path: '/v1/admin/stats' }));
  const progress = startProgress('exporting', (status === undefined ? stats.total : stats[status]) ?? 0);
  const isCsv = options.format === 'csv';
  let done = 0;
  let cursor: string | undefined;
  try {
    write(isCsv ? `${COLUMNS.join(',')}\n` : '{"sandboxes":[');
    do {
      const query = { status, limit: PAGE, cursor };
      const page = as<SandboxPage>(await call({ method: 'GET', path: '/v1/admin/sandboxes', query }));
      const before = done === 0 ? '\n' : ',\n';
      if (isCsv) write(page.sandboxes.map((sandbox) => `${csvLine(sandbox)}\n`).join(''));
      else if (page.count > 0)
        write(before + page.sandboxes.map((sandbox) => JSON.stringify(sandbox)).join(',\n'));
      done += page.count;
      progress.tell(done);
      cursor = page.cursor;
    } while (cursor !== undefined);
    if (!isCsv) write(`\n],"count":${done}}\n`);
  } finally {
    progress.end();
  }
}

const csvLine = (sandbox: SandboxRecord): string =>
  COLUMNS.map((column) => csvCell(sandbox[column])).join(',');

/** As RFC 4180 has it. */
function csvCell(value: string | number | undefined): string {
  const text = String(value ?? '');
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
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
