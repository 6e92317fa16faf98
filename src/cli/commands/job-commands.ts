import { type Command, Option } from 'commander';
import type { Job, JobList } from '../../api/types/jobs.ts';
import { JOB_STATUSES, JOB_TYPES } from '../../domain/job.ts';
import { as } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { createOutput, fields, time, withTimes } from '../output.ts';
import { collect, limitOption, moreNote } from '../pages.ts';
import { endingOf } from '../text/job-words.ts';
import { jobStatus } from '../text/tones.ts';

interface ListOptions extends GlobalOptions {
  type?: string;
  status?: string;
  limit: number;
}

/** The queue of runs. */
export function addJobCommands(program: Command): void {
  const jobs = program
    .command('jobs')
    .description('list the jobs of the last week, the newest first')
    .addOption(new Option('--type <type>', 'only of this type').choices(JOB_TYPES))
    .addOption(new Option('--status <status>', 'only in this status').choices(JOB_STATUSES))
    .addOption(limitOption(20))
    .addHelpText(
      'after',
      `
Examples:
  $ sandbox-broker jobs --type sync --status failed
  $ sandbox-broker jobs show job-00000000000042`,
    )
    .action(async (_options, command: Command) => {
      const options: ListOptions = command.optsWithGlobals();
      const { type, status } = options;
      const call = callerFor('admin', options);
      const { items, more } = await collect<Job>(options, async (limit, cursor) => {
        const query = { type, status, limit, cursor };
        const page = as<JobList>(await call({ method: 'GET', path: '/v1/admin/jobs', query }));
        return { items: page.jobs, cursor: page.cursor };
      });
      const rows = items.map((job) => [
        job.job_id,
        job.type,
        jobStatus(job.status),
        time(job.submitted_at),
        time(job.ended_at),
        endingOf(job),
      ]);
      const output = createOutput(options);
      output.result({ jobs: items, count: items.length, more }, () =>
        output.table(['ID', 'TYPE', 'STATUS', 'SUBMITTED', 'ENDED', 'RESULT'], rows).concat(moreNote(more)),
      );
    });

  jobs
    .command('show')
    .description('show a job: who asked for it, who runs it, and what became of it')
    .argument('<job-id>')
    .addHelpText('after', '\nExample:\n  $ sandbox-broker jobs show job-00000000000042 --json')
    .action(async (jobId: string, _options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const path = `/v1/admin/jobs/${encodeURIComponent(jobId)}`;
      const job = as<Job>(await callerFor('admin', options)({ method: 'GET', path }));
      createOutput(options).result(job, () => fields(withTimes({ ...job })));
    });
}
