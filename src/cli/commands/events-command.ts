import { type Command, Option } from 'commander';
import type { ChangeRecord } from '../../api/live.ts';
import type { Alert } from '../../api/types/alerts.ts';
import type { Job } from '../../api/types/jobs.ts';
import type { Status } from '../../api/types/status.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { follow } from '../follow.ts';
import { createOutput, print, time } from '../output.ts';
import { endingOf } from '../text/job-words.ts';
import { plain } from '../text/table.ts';
import { colored, jobStatus, sandboxStatus, severity, type Toned, verdictWord } from '../text/tones.ts';
import { untilTold } from '../until-told.ts';

const KINDS = ['sandbox', 'job', 'alert', 'verdict'] as const;
type Kind = (typeof KINDS)[number];

interface EventsOptions extends GlobalOptions {
  only?: Kind;
}

/** Something that happened: for a program, and as words for a line. */
interface Happening {
  kind: Kind;
  at: number;
  data: unknown;
  words: (string | Toned | undefined)[];
}

/** What happens, as it happens. */
export function addEventsCommand(program: Command): void {
  program
    .command('events')
    .description('follow what happens, a line each, until Ctrl-C: sandboxes, jobs, alerts, the verdict')
    .addOption(new Option('--only <kind>', 'only these').choices(KINDS))
    .addHelpText(
      'after',
      `
Sandboxes and alerts are those of the replica that answers; what others change shows in list, alerts and watch. With --json a
line is one object. It goes on over breaks of the connection, and says so on standard error.

Examples:
  $ sandbox-broker events
  $ sandbox-broker events --only alert --json`,
    )
    .action(async (_options, command: Command) => {
      const options: EventsOptions = command.optsWithGlobals();
      const output = createOutput(options);
      const read = createReader();
      await follow({
        call: callerFor('admin', options),
        signal: untilTold(),
        onBreak: (why) => output.note(`sandbox-broker: ${why} It is opened again.`),
        onEvent(type, data) {
          const meant = read(type, data).filter(
            ({ kind }) => options.only === undefined || kind === options.only,
          );
          print(meant.map((each) => (options.json ? toJson(each) : toLine(each))));
        },
      });
    });
}

const toJson = ({ kind, at, data }: Happening): string => JSON.stringify({ kind, at, data });

const toLine = ({ kind, at, words }: Happening): string =>
  [time(at), kind.padEnd(7), ...words.map(inColor)].filter((word) => word !== '').join('  ');

const inColor = (word: string | Toned | undefined): string => {
  if (word === undefined) return '';
  return typeof word === 'string' ? plain(word) : colored({ ...word, text: plain(word.text) });
};

/** What of the stream is news: a job that is told of again and again is news when its status changes. */
function createReader(): (type: string, data: unknown) => Happening[] {
  const jobs = new Map<string, string>();
  let areJobsKnown = false;
  let verdict: string | undefined;

  function jobNews(list: Job[]): Happening[] {
    const news = list.filter(({ job_id: id, status }) => jobs.get(id) !== status);
    for (const { job_id: id, status } of list) jobs.set(id, status);
    const wasKnown = areJobsKnown;
    areJobsKnown = true;
    // What was over before anybody looked is none.
    return wasKnown ? news.toReversed().map(jobLine) : [];
  }

  return (type, data) => {
    switch (type) {
      case 'sandboxes': {
        const {
          events = [],
          changed,
          more,
        } = data as {
          events?: ChangeRecord[];
          changed: string[];
          more: boolean;
        };
        const untold = changed.length - new Set(events.map((event) => event.sandbox_id)).size;
        const rest = more ? 'many more changed' : untold > 0 ? `${untold} more changed` : undefined;
        const last = rest === undefined ? [] : [restLine(rest, changed)];
        return [...events.map(sandboxLine), ...last];
      }
      case 'jobs':
        return jobNews((data as { jobs: Job[] }).jobs);
      case 'alert':
        return [alertLine(data as Alert)];
      case 'status': {
        const { readiness } = data as Status;
        const text = JSON.stringify([readiness?.verdict, readiness?.reasons]);
        if (text === verdict) return [];
        verdict = text;
        const words = [verdictWord(readiness?.verdict), readiness?.reasons.join('; ')];
        return [{ kind: 'verdict', at: seconds(), data: readiness, words }];
      }
      default:
        return [];
    }
  };
}

const seconds = (): number => Math.floor(Date.now() / 1000);

const sandboxLine = (event: ChangeRecord): Happening => ({
  kind: 'sandbox',
  at: event.at,
  data: event,
  words: [
    event.name,
    event.action,
    sandboxStatus(event.to),
    event.allocated_to_track,
    event.detail,
    `by ${event.actor}`,
    event.correlation_id,
  ],
});

const restLine = (text: string, changed: string[]): Happening => ({
  kind: 'sandbox',
  at: seconds(),
  data: { changed },
  words: [text],
});

const jobLine = (job: Job): Happening => ({
  kind: 'job',
  at: job.ended_at ?? job.started_at ?? job.submitted_at,
  data: job,
  words: [job.type, jobStatus(job.status), endingOf(job), job.job_id],
});

const alertLine = (alert: Alert): Happening => ({
  kind: 'alert',
  at: alert.timestamp,
  data: alert,
  words: [severity(alert.severity), alert.task, alert.reason, JSON.stringify(alert.context)],
});
