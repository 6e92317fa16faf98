import type { Command } from 'commander';
import type { Job } from '../../api/types/jobs.ts';
import type { Caller } from '../../client/call.ts';
import { pause } from '../../client/waiting.ts';
import { as } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { onceOnly } from '../once-only.ts';
import { createOutput, fields } from '../output.ts';
import { wholeNumber } from '../text/numbers.ts';
import { startProgress } from '../text/progress.ts';

interface RunOptions extends GlobalOptions {
  force?: boolean;
  graceHours?: number;
  /** False with `--no-wait`. */
  wait: boolean;
  waitSec: number;
}

const RUNS = [
  ['sync', "take over the provider's inventory"],
  ['cleanup', 'delete what was given back'],
  ['expire', 'end the leases whose time is over'],
  ['purge', 'remove the records of what has long been stale; the sandboxes are not touched'],
] as const;

const FIRST_LOOK_MS = 100;
const LONGEST_LOOK_MS = 1_000;

/** Runs of the loops' work, as jobs: they outlive this process, and a replica that dies hands them on. */
export function addRunCommands(program: Command): void {
  for (const [name, description] of RUNS) {
    const command = program
      .command(name)
      .description(`${description}, now, as a job; waits for its end`)
      .option('--no-wait', "only submit it, and print the job's id")
      .option(
        '--wait-sec <seconds>',
        'how long to wait for its end; the job goes on',
        wholeNumber(1, 86_400),
        600,
      );
    if (name === 'sync') command.option('--force', 'mark as many stale as are missing, however many that is');
    if (name === 'purge')
      command.option(
        '--grace-hours <hours>',
        'only what has been stale for so long; 24 unless given',
        wholeNumber(0, 8_760),
      );
    command
      .addHelpText(
        'after',
        `\nExamples:\n  $ sandbox-broker ${name}\n  $ sandbox-broker ${name} --no-wait --json`,
      )
      .action(async (_options, self: Command) => {
        const options: RunOptions = self.optsWithGlobals();
        const output = createOutput(options);
        const call = callerFor('admin', options);
        const body = {
          type: name,
          options: { force: options.force, grace_period_hours: options.graceHours },
        };
        const accepted = as<Pick<Job, 'job_id' | 'status'>>(
          await call({ method: 'POST', path: '/v1/admin/jobs', body, headers: onceOnly() }),
        );
        if (!options.wait) return output.result(accepted, () => [accepted.job_id]);
        const job = await untilEnded(call, accepted.job_id, options.waitSec);
        output.result(job, () =>
          fields({ job_id: job.job_id, status: job.status, dry_run: job.dry_run, ...job.result }),
        );
        if (job.error?.code === 'SYNC_REFUSED') {
          const message =
            'The sync was refused: the listing lacks too much to be believed. --force takes it at its word.';
          throw new CliError(message, { exitCode: EXIT.failure });
        }
        const failed = job.result?.['failed'] ?? 0;
        if (failed > 0) {
          const message = `${failed} failed. They are tried again by the next runs; the alerts and the log say why.`;
          throw new CliError(message, { exitCode: EXIT.failure });
        }
        if (job.error !== undefined)
          throw new CliError(`The job failed: ${job.error.message}`, { exitCode: EXIT.failure });
      });
  }
}

async function untilEnded(call: Caller, jobId: string, waitSec: number): Promise<Job> {
  const startedMs = performance.now();
  const elapsedSeconds = () => Math.floor((performance.now() - startedMs) / 1000);
  const progress = startProgress('running', waitSec);
  try {
    for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_LOOK_MS)) {
      const job = as<Job>(await call({ method: 'GET', path: `/v1/admin/jobs/${jobId}` }));
      if (job.status === 'completed' || job.status === 'failed') return job;
      if (elapsedSeconds() >= waitSec) {
        throw new CliError(
          `The job ${jobId} is still ${job.status} after ${waitSec} s. It goes on: look with sandbox-broker jobs.`,
          { exitCode: EXIT.unreachable },
        );
      }
      progress.tell(elapsedSeconds());
      await pause(waitMs, new AbortController().signal);
    }
  } finally {
    progress.end();
  }
}
