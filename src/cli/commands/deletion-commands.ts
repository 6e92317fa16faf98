import { type Command, Option } from 'commander';
import type { SandboxRecord } from '../../client/index.ts';
import { as } from '../answers.ts';
import { type ConfirmOptions, confirm } from '../confirm.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { lookUp } from '../look-up.ts';
import { addFilterOptions, carryOut, type ManyOptions } from '../many.ts';
import { onceOnly } from '../once-only.ts';
import { createOutput, fields } from '../output.ts';

interface BulkDeleteOptions extends GlobalOptions, ConfirmOptions {
  status: string;
  count?: boolean;
}

/** An operator's hand on deletions that failed, and on records that are in nobody's way. */
export function addDeletionCommands(program: Command): void {
  program
    .command('retry-deletion')
    .description('give one failed deletion a fresh set of attempts')
    .argument('<id|name|holder>')
    .addHelpText(
      'after',
      `
The next cleanup tries it; sandbox-broker cleanup does so at once.

Example:
  $ sandbox-broker retry-deletion lab-0042`,
    )
    .action(async (text: string, _options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const { sandbox_id: id, lease_id } = await lookUp(text, options, { isExact: true });
      const path = `/v1/admin/sandboxes/${encodeURIComponent(id)}/retry-deletion`;
      const order = { method: 'POST', path, query: { lease_id }, headers: onceOnly() } as const;
      const record = as<SandboxRecord>(await callerFor('admin', options)(order));
      createOutput(options).result(record, () => fields({ ...record }));
    });

  addFilterOptions(
    program
      .command('retry-deletions')
      .description('give all failed deletions, or those of a filter, a fresh set of attempts')
      .option('--holder <id>', 'only of this holder'),
  )
    .addHelpText(
      'after',
      `
For when its cause is mended. The next cleanup tries them; sandbox-broker cleanup does so at once. Ends with 1 when some could
not be changed.

Examples:
  $ sandbox-broker retry-deletions --count
  $ sandbox-broker retry-deletions --prefix lab-eu- --json`,
    )
    .action(async (_options, command: Command) => {
      const options: ManyOptions = command.optsWithGlobals();
      await carryOut(callerFor('admin', options), options, {
        path: '/v1/admin/retry-deletions',
        status: 'deletion_failed',
        done: 'retried',
        inWords: (count) => (count === 1 ? 'one deletion' : `${count} deletions`),
      });
    });

  program
    .command('bulk-delete')
    .description('remove the records in one status; the sandboxes themselves are not touched')
    .addOption(
      new Option('--status <status>', 'stale, or deletion_failed: what is gone at the provider for good')
        .choices(['stale', 'deletion_failed'])
        .makeOptionMandatory(),
    )
    .option('--count', 'only say how many that are; change nothing')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', '\nExample:\n  $ sandbox-broker bulk-delete --status stale --count')
    .action(async (_options, command: Command) => {
      const options: BulkDeleteOptions = command.optsWithGlobals();
      const call = callerFor('admin', options);
      const query = { status: options.status };
      const counted = as<{ count: number; as_of: number }>(
        await call({ method: 'GET', path: '/v1/admin/sandbox-count', query }),
      );
      const output = createOutput(options);
      if (options.count) return output.result(counted, () => [String(counted.count)]);
      await confirm(`Remove ${counted.count} records for good?`, options);
      const path = '/v1/admin/bulk-delete';
      const done = as<{ failed?: number }>(await call({ method: 'POST', path, query, headers: onceOnly() }));
      output.result(done, () => fields({ ...done }));
      if (done.failed) throw new CliError(`${done.failed} could not be removed.`, { exitCode: EXIT.failure });
    });
}
