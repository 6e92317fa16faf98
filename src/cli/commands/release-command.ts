import type { Command } from 'commander';
import type { MarkedAll } from '../../api/types/leases.ts';
import { createBroker } from '../../client/index.ts';
import { as } from '../answers.ts';
import { brokerUrl, callerFor, tokenFor } from '../environment.ts';
import { usageError } from '../exit-codes.ts';
import { lookUp } from '../look-up.ts';
import { addFilterOptions, carryOut, type ManyOptions } from '../many.ts';
import { onceOnly } from '../once-only.ts';
import { createOutput, fields } from '../output.ts';

interface ReleaseOptions extends ManyOptions {
  asAdmin?: boolean;
  lease?: string;
  key?: string;
  all?: boolean;
}

const FILTERS = ['prefix', 'holder', 'holderPrefix', 'lab', 'find', 'all'] as const;

/** Giving back: one's own, anybody's, or all that a filter means. */
export function addReleaseCommand(program: Command): void {
  const command = program
    .command('release')
    .description("give a sandbox back: as its holder, or as an operator with anybody's, or many at once")
    .argument('[sandbox]', 'its id; with --as-admin its name or its holder, too')
    .option('--holder <id>', 'the holder gives it back (BROKER_API_TOKEN); of many, all of this holder')
    .option(
      '--key <key>',
      'the holder gives back all that it has by this key: an idempotency key, or its own name',
    )
    .option('--as-admin', 'an operator takes it back, whoever holds it (BROKER_ADMIN_TOKEN)')
    .option(
      '--lease <id>',
      'with --as-admin: only if it still has this lease (the lease_id of show or list --json)',
    );
  addFilterOptions(command)
    .option('--all', 'every lease there is')
    .option('-y, --yes', 'do not ask')
    .addHelpText(
      'after',
      `
Either way the lease ends at once and the next cleanup deletes the sandbox. Many at once are counted first, and asked for;
whoever gets a sandbox after the count keeps it.

Examples:
  $ sandbox-broker release sbx-0042 --holder student-1
  $ sandbox-broker release --holder ci --key build-4711
  $ sandbox-broker release lab-0042 --as-admin
  $ sandbox-broker release sbx-0042 --as-admin --lease 8c0f1c4e-2b1a-4c5d-9e57-5a1f1d0b7c3e
  $ sandbox-broker release --as-admin --lab intro-to-dns --holder-prefix student- --count
  $ sandbox-broker release --as-admin --lab intro-to-dns --yes`,
    )
    .action(async (sandbox: string | undefined, _options, self: Command) => {
      const options: ReleaseOptions = self.optsWithGlobals();
      if (sandbox === undefined && options.asAdmin) return await releaseMany(options);
      if (sandbox === undefined) return await releaseAllOfKey(options);
      if (options.key !== undefined) throw usageError('One sandbox, or all of a key: not both.');
      const record = await releaseOne(sandbox, options);
      createOutput(options).result(record, () => fields({ ...record }));
    });
}

async function releaseMany(options: ReleaseOptions): Promise<void> {
  if (options.key !== undefined) throw usageError('--key is for a holder, not for --as-admin.');
  if (options.lease !== undefined) throw usageError('--lease is for one sandbox: say which.');
  if (FILTERS.every((name) => options[name] === undefined))
    throw usageError('Which sandbox, or which of them? Say its id, filter them, or say --all.');
  await carryOut(callerFor('admin', options), options, {
    path: '/v1/admin/release',
    status: 'allocated',
    done: 'released',
    inWords: (count) => (count === 1 ? 'one lease' : `${count} leases`),
    question: (count) =>
      `End ${count === 1 ? 'one lease' : `${count} leases`}, whoever is working in the sandboxes?`,
    more: ({ as_of }) => ({ leased_before: as_of, all: options.all ? 'true' : undefined }),
  });
}

/** What a key was given together, be it one or several. */
async function releaseAllOfKey(options: ReleaseOptions): Promise<void> {
  const { holder, key } = options;
  const isFiltered = FILTERS.some((name) => name !== 'holder' && options[name] !== undefined);
  if (holder === undefined || key === undefined || isFiltered || options.lease !== undefined) {
    throw usageError(
      'Which sandbox? A holder gives back all of a key by --holder and --key; many at once are an operator’s: --as-admin.',
    );
  }
  const answer = await callerFor(
    'track',
    options,
  )({
    method: 'POST',
    path: '/v1/mark-for-deletion',
    headers: { 'x-track-id': holder, 'idempotency-key': key },
  });
  const all = as<MarkedAll>(answer);
  const output = createOutput(options);
  output.result(all, () =>
    output.table(
      ['SANDBOX', 'STATUS'],
      all.marked.map(({ sandbox_id, status }) => [sandbox_id, status]),
    ),
  );
}

async function releaseOne(sandbox: string, options: ReleaseOptions): Promise<object> {
  if (options.asAdmin) {
    if (FILTERS.some((name) => options[name] !== undefined))
      throw usageError('One sandbox, or those that a filter means: not both.');
    const { sandbox_id: id, lease_id: seen } = await lookUp(sandbox, options, { isExact: true });
    return as<object>(
      await callerFor(
        'admin',
        options,
      )({
        method: 'POST',
        path: `/v1/admin/sandboxes/${encodeURIComponent(id)}/release`,
        query: { lease_id: options.lease ?? seen },
        headers: onceOnly(),
      }),
    );
  }
  if (options.lease !== undefined)
    throw usageError('--lease is for --as-admin: a holder gives back its own.');
  if (options.holder === undefined) throw usageError('Say who gives it back: --holder <id>, or --as-admin.');
  const broker = createBroker({
    url: brokerUrl(options),
    token: tokenFor('track', options),
    holder: options.holder,
    deadlineMs: options.timeout * 1000,
  });
  return await broker.markForDeletion(sandbox);
}
