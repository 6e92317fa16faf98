import type { Command } from 'commander';
import type { SandboxRecord } from '../../client/index.ts';
import { as } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { onceOnly } from '../once-only.ts';
import { createOutput, fields, withTimes } from '../output.ts';

interface QuarantineOptions extends GlobalOptions {
  reason?: string;
  endLease?: boolean;
  lease?: string;
}

/** An operator keeps a sandbox out of the pool, and puts it back. */
export function addQuarantineCommands(program: Command): void {
  program
    .command('quarantine')
    .description('take a sandbox out of the pool without deleting it')
    .argument('<sandbox-id>')
    .requiredOption('--reason <text>', 'why, for whoever looks at it')
    .option('--end-lease', 'end a lease that it has; else it is out of the pool when that is over')
    .option('--lease <id>', 'only if it still has this lease (the lease_id of show)')
    .addHelpText(
      'after',
      `
It is neither leased nor deleted until it is restored, whatever the provider lists.

Examples:
  $ sandbox-broker quarantine sbx-0042 --reason "disk errors"
  $ sandbox-broker quarantine sbx-0042 --reason "keys leaked" --end-lease
  $ sandbox-broker list --status quarantined`,
    )
    .action(async (sandboxId: string, _options, command: Command) => {
      const options: QuarantineOptions = command.optsWithGlobals();
      await order('quarantine', sandboxId, options, {
        reason: options.reason,
        end_lease: options.endLease,
      });
    });

  program
    .command('restore')
    .description('put a sandbox from quarantine back')
    .argument('<sandbox-id>')
    .option('--lease <id>', 'only if it still has this lease (the lease_id of show)')
    .addHelpText(
      'after',
      `
One that was used is cleaned first; any other goes to who waits for it, or is free.

Example:
  $ sandbox-broker restore sbx-0042`,
    )
    .action((sandboxId: string, _options, command: Command) =>
      order('restore', sandboxId, command.optsWithGlobals()),
    );
}

async function order(
  verb: 'quarantine' | 'restore',
  sandboxId: string,
  options: QuarantineOptions,
  body?: Record<string, unknown>,
): Promise<void> {
  const record = as<SandboxRecord>(
    await callerFor(
      'admin',
      options,
    )({
      method: 'POST',
      path: `/v1/admin/sandboxes/${encodeURIComponent(sandboxId)}/${verb}`,
      query: { lease_id: options.lease },
      headers: onceOnly(),
      ...(body && { body }),
    }),
  );
  createOutput(options).result(record, () => fields(withTimes({ ...record })));
}
