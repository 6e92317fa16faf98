import { type Command, Option } from 'commander';
import {
  BrokerError,
  createBroker,
  type HeldLease,
  type Lease,
  type SandboxRecord,
} from '../../client/index.ts';
import { as } from '../answers.ts';
import { brokerUrl, callerFor, type GlobalOptions, tokenFor } from '../environment.ts';
import { CliError, EXIT, usageError } from '../exit-codes.ts';
import { onceOnly } from '../once-only.ts';
import { createOutput, fields, time, withTimes } from '../output.ts';
import { durationSeconds, wholeNumber } from '../text/numbers.ts';
import { createPlaceLine } from '../text/place-line.ts';
import { untilTold } from '../until-told.ts';

interface TrackOptions extends GlobalOptions {
  holder: string;
  lab?: string;
  prefix?: string;
  count?: number;
  duration?: number;
  key?: string;
  /** Seconds; as long as the timeout where no time is given. */
  wait?: number | true;
  priority?: number;
}

interface ReportOptions extends GlobalOptions {
  holder: string;
  reason: string;
  replace?: boolean;
  prefix?: string;
  lease?: string;
}

interface ExtendOptions extends GlobalOptions {
  holder?: string;
  operator?: boolean;
  duration: number;
  lease?: string;
}

/** What a track does: take a sandbox, keep it for longer, and say that it is broken. */
export function addTrackCommands(program: Command): void {
  program
    .command('allocate')
    .description('lease a sandbox to a holder; the same holder gets the same one again')
    .requiredOption('--holder <id>', 'who gets it, and may give it back')
    .option('--lab <name>', 'the lab the holder runs; for operators')
    .option('--prefix <name>', 'only a sandbox whose name begins so')
    .addOption(
      new Option('--count <number>', 'so many sandboxes, 2 to 16, all or none; not with --wait').argParser(
        wholeNumber(2, 16),
      ),
    )
    .addOption(durationOption('how long the lease shall last, such as 90m; the broker has a maximum'))
    .option(
      '--key <key>',
      'an idempotency key instead of the holder: another key, another sandbox; one for good',
    )
    .addOption(
      new Option(
        '--wait [time]',
        'wait in line, so long at the most, such as 10m; by default for the --timeout',
      ).argParser(durationSeconds),
    )
    .addOption(
      new Option('--priority <number>', 'in the line, 0 to 9: the highest is served first').argParser(
        wholeNumber(0, 9),
      ),
    )
    .addHelpText(
      'after',
      `
While it waits a terminal shows its place; Ctrl-C gives that up, and ends with 1.

Examples:
  $ sandbox-broker allocate --holder student-1
  $ sandbox-broker allocate --holder student-1 --wait 10m
  $ sandbox-broker allocate --holder student-1 --duration 90m
  $ sandbox-broker allocate --holder ci --key build-4711 --count 3
  $ sandbox-broker allocate --holder ci --key build-4711 --wait 1h
  $ SANDBOX=$(sandbox-broker allocate --holder ci --json | sed -n 's/.*"sandbox_id": "\\(.*\\)".*/\\1/p')`,
    )
    .action(async (_options, command: Command) => {
      const options: TrackOptions = command.optsWithGlobals();
      const output = createOutput(options);
      const { count } = options;
      if (count === undefined) {
        const record = recordOf(await allocate(options));
        return output.result(record, () => fields({ ...record }));
      }
      if (options.wait !== undefined) throw usageError('Several are not waited for: --count or --wait.');
      const { leases, replayed } = await brokerOf(options).allocate({ ...wanted(options), count });
      const live = leases.filter(({ leaseOver }) => !leaseOver);
      const [one] = leases;
      if (live.length === 0 && one) recordOf(one);
      if (live.length < count) output.note(`${count - live.length} of ${count} leases of this key are over.`);
      const records = live.map(recordOf);
      output.result({ count: records.length, replayed, leases: records }, () =>
        output.table(
          ['SANDBOX', 'NAME', 'LEASE', 'EXPIRES'],
          records.map((record) => [record.sandbox_id, record.name, record.lease_id, time(record.expires_at)]),
        ),
      );
    });

  program
    .command('extend')
    .description('keep a sandbox for longer')
    .argument('<sandbox-id>')
    .option('--holder <id>', 'who has it')
    .option('--operator', 'as an operator instead, whoever has it')
    .addOption(
      durationOption(
        'from now to the new end, such as 2h; never beyond the longest lease',
      ).makeOptionMandatory(),
    )
    .option('--lease <id>', 'only if it still has this lease (the lease_id of allocate)')
    .addHelpText(
      'after',
      `
Prints the lease as it is then; ends with 3 when it is over already.

Examples:
  $ sandbox-broker extend sbx-0042 --holder student-1 --duration 2h
  $ sandbox-broker extend sbx-0042 --operator --duration 2h`,
    )
    .action(async (sandboxId: string, _options, command: Command) => {
      const options: ExtendOptions = command.optsWithGlobals();
      const { holder, operator = false } = options;
      if (operator === (holder !== undefined)) throw usageError('Either --holder <id> or --operator.');
      const record =
        holder === undefined
          ? await extendForHolder(sandboxId, options)
          : await brokerOf({ ...options, holder }).extend(sandboxId, options.duration, {
              leaseId: options.lease,
            });
      createOutput(options).result(record, () => fields(withTimes({ ...record })));
    });

  program
    .command('report')
    .description('report a sandbox as broken: its lease ends, and operators look at it')
    .argument('<sandbox-id>')
    .requiredOption('--holder <id>', 'who has it')
    .requiredOption('--reason <text>', 'what is wrong with it')
    .option('--replace', 'lease another one to the same key instead, or have a place at the head of the line')
    .option('--prefix <name>', 'with --replace: only a sandbox whose name begins so')
    .option('--lease <id>', 'only if it still has this lease (the lease_id of allocate)')
    .addHelpText(
      'after',
      `
Reported again it is answered the same, and never with a second one. A place is kept, and served, by allocate --wait with
the same holder and key.

Examples:
  $ sandbox-broker report sbx-0042 --holder student-1 --reason "no network"
  $ sandbox-broker report sbx-0042 --holder student-1 --reason "no network" --replace`,
    )
    .action(async (sandboxId: string, _options, command: Command) => {
      const options: ReportOptions = command.optsWithGlobals();
      const { reason, replace, prefix: namePrefix, lease: leaseId } = options;
      const record = await brokerOf(options).report(sandboxId, reason, { replace, namePrefix, leaseId });
      createOutput(options).result(record, () => fields({ ...record, ...record.replacement }));
    });
}

/** What a lease is, without what it can do. Throws `LEASE_OVER`. */
function recordOf(held: HeldLease): Lease {
  if (held.leaseOver) {
    // Nothing on standard output: a script would take the sandbox for its own.
    throw new BrokerError(
      'LEASE_OVER',
      `The lease of this key is over; it was of ${held.sandbox_id}. Take a new key for new work.`,
      { attempts: 1 },
    );
  }
  const { leaseOver: _over, ...rest } = held;
  return Object.fromEntries(
    Object.entries(rest).filter(([, value]) => typeof value !== 'function'),
  ) as unknown as Lease;
}

const extendForHolder = async (sandboxId: string, options: ExtendOptions): Promise<SandboxRecord> =>
  as<SandboxRecord>(
    await callerFor(
      'admin',
      options,
    )({
      method: 'POST',
      path: `/v1/admin/sandboxes/${encodeURIComponent(sandboxId)}/extend`,
      query: { lease_id: options.lease },
      headers: onceOnly(),
      body: { duration_seconds: options.duration },
    }),
  );

const wanted = ({ key, lab, prefix, duration }: TrackOptions) => ({
  idempotencyKey: key,
  oncePerHolder: true,
  lab,
  namePrefix: prefix,
  durationSeconds: duration,
});

async function allocate(options: TrackOptions): Promise<HeldLease> {
  const asked = wanted(options);
  if (options.wait === undefined) return await brokerOf(options).allocate(asked);
  const wait = options.wait === true ? options.timeout : options.wait;
  const told = untilTold();
  const place = createPlaceLine();
  try {
    const { priority } = options;
    const waiting = { ...asked, wait, priority, onPosition: place.tell, signal: told };
    return await brokerOf(options).allocate(waiting);
  } catch (cause) {
    if (told.aborted) throw new CliError('Left the line.', { exitCode: EXIT.failure, cause });
    throw cause;
  } finally {
    place.end();
  }
}

const durationOption = (description: string) =>
  new Option('--duration <time>', description).argParser(durationSeconds);

const brokerOf = (options: GlobalOptions & { holder: string }) => {
  // Checks the address and the token with the sentences of the command line.
  callerFor('track', options);
  return createBroker({
    url: brokerUrl(options),
    token: tokenFor('track', options),
    holder: options.holder,
    deadlineMs: options.timeout * 1000,
  });
};
