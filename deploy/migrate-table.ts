import { parseArgs } from 'node:util';
import { composeMigration } from '../src/compose/migration.ts';
import type { MigrationReport } from '../src/usecases/migrate-table.ts';

/* Copies the Python broker's table into this broker's: docs/migration.md says what is assumed of it, and when to run this. */

const USAGE = `Copies the sandboxes of the Python broker's table into this broker's.

  node deploy/migrate-table.ts --from <store> --to <store> [options]

  --from, --to           dynamodb://<region>, or http(s)://[key:secret@]host:port
  --from-table <name>    the old table (SandboxPool)
  --to-table <name>      the new one, which exists already (SandboxBroker)
  --apply                write; without it this only says what would be done
  --buckets <n>, --lab-duration-hours <n>, --expiry-buffer-hours <n>
                         as the new broker is configured, if not by its defaults
  --json                 the report as JSON

Run again as often as needed: what is there already stays as it is.
Exit codes: 0 everything is copied; 1 it failed; 2 something was not copied, or not as it was.
`;
const FAILED = 1;
const LOOK_AT_IT = 2;

/** The report in words, for an operator. */
function inWords({ read, copied, there, problems }: MigrationReport, apply: boolean): string {
  const counts = Object.entries(copied).map(([status, count]) => `  ${status}: ${count}`);
  return [
    `${read} sandboxes in the old table.`,
    apply ? 'Copied:' : 'Would be copied (nothing is written without --apply):',
    ...(counts.length > 0 ? counts : ['  none']),
    `There already: ${there}.`,
    ...(problems.length > 0 ? [`To be looked at: ${problems.length}.`] : []),
    ...problems.map(({ id, problem }) => `  ${id} ${problem}`),
    '',
  ].join('\n');
}

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      from: { type: 'string' },
      'from-table': { type: 'string', default: 'SandboxPool' },
      to: { type: 'string' },
      'to-table': { type: 'string', default: 'SandboxBroker' },
      apply: { type: 'boolean', default: false },
      buckets: { type: 'string' },
      'lab-duration-hours': { type: 'string' },
      'expiry-buffer-hours': { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.from === undefined || values.to === undefined)
    throw new Error(`--from and --to are needed.\n\n${USAGE}`);
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort(new Error('Interrupted; run it again to go on.')));
  const report = await composeMigration({
    from: values.from,
    fromTable: values['from-table'],
    to: values.to,
    toTable: values['to-table'],
    buckets: values.buckets,
    labDurationHours: values['lab-duration-hours'],
    expiryBufferHours: values['expiry-buffer-hours'],
    apply: values.apply,
    signal: interrupted.signal,
  });
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : inWords(report, values.apply));
  return report.problems.length === 0 ? 0 : LOOK_AT_IT;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = FAILED;
}
