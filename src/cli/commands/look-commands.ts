import type { Command } from 'commander';
import type { Retries } from '../../api/types/retries.ts';
import type { Heartbeats, MetricsGuard, Readiness, Runtime } from '../../api/types/watch.ts';
import { as } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { createOutput, fields, type Output, time, withTimes } from '../output.ts';
import { type Cell, table } from '../text/table.ts';
import { checkState, verdictWord } from '../text/tones.ts';

interface LookOptions extends GlobalOptions {
  task?: string;
}

/** Something to look at: its name, where it is asked for, and how it is told. */
interface Look<Answer> {
  name: string;
  about: string;
  path: string;
  example: string;
  lines: (answer: Answer, output: Output) => string[];
}

const look = <Answer>(of: Look<Answer>) => of as Look<unknown>;

const LOOKS = [
  look<Readiness>({
    name: 'readiness',
    about: 'check now whether it serves, and say what fails or limits it',
    path: '/v1/admin/readiness',
    example: 'readiness',
    lines: ({ verdict, checks }) => [
      ...fields({ verdict: verdictWord(verdict) }),
      '',
      ...table(
        ['CHECK', 'STATUS', 'WHY'],
        Object.entries(checks).map(([name, check]) => [name, checkState(check.status), check.detail]),
      ),
    ],
  }),
  look<Runtime>({
    name: 'runtime',
    about: 'check now what the promises rest on in the store',
    path: '/v1/admin/runtime',
    example: 'runtime',
    // Uncut: it says how to mend each.
    lines: ({ checks }) =>
      table(
        ['CHECK', 'STATUS', 'FINDING'],
        checks.map(({ name, status, message }) => [name, checkState(status), message]),
      ),
  }),
  look<Heartbeats>({
    name: 'heartbeats',
    about: 'show the signs of life of the loops and the worker, of one replica',
    path: '/v1/admin/heartbeats',
    example: 'heartbeats',
    lines: (beats, output) =>
      output.table(
        ['NAME', 'RUNNING', 'HEALTHY', 'LAST'],
        Object.entries(beats).map(([name, beat]): Cell[] => [
          name,
          beat.is_running ? 'yes' : 'no',
          checkState(beat.is_healthy ? 'ok' : 'failing'),
          time(beat.last_heartbeat ?? undefined),
        ]),
      ),
  }),
  look<Retries>({
    name: 'retries',
    about: 'show what is tried again at the provider, and how often',
    path: '/v1/admin/retries',
    example: 'retries --task csp_delete:',
    lines: ({ rate, spike, open, ended }, output) => [
      ...fields({
        tasks: rate.jobs,
        retried: rate.retried,
        anomalous: rate.anomalous,
        last_spike: time(spike.last_spike_at),
      }),
      '',
      ...output.table(
        ['TASK', 'ATTEMPTS', 'FIRST', 'LAST', 'RESULT'],
        [...open.map((window) => ({ ...window, result: 'under way' })), ...ended].map((window) => [
          window.task,
          window.attempts,
          time(window.first_attempt_at),
          time(window.last_attempt_at),
          window.result,
        ]),
      ),
    ],
  }),
  look<MetricsGuard>({
    name: 'metrics-guard',
    about: 'show the labels of the metrics, and how many values each has',
    path: '/v1/admin/metrics-guard',
    example: 'metrics-guard',
    lines: ({ mode, max_values, labels }, output) => [
      ...fields({ mode, max_values }),
      '',
      ...output.table(
        ['METRIC', 'LABEL', 'VALUES', 'COUNTED AS OTHER'],
        labels.map(({ metric, label, values, capped }) => [metric, label, values, capped]),
      ),
    ],
  }),
  look<Record<string, unknown>>({
    name: 'whoami',
    about: 'show whose token this is, and whether it may change anything',
    path: '/v1/admin/session',
    example: 'whoami',
    lines: (session) => fields(withTimes(session)),
  }),
];

/** What there is to look at besides, as the API has it. */
export function addLookCommands(program: Command): void {
  for (const { name, about, path, example, lines } of LOOKS) {
    const command = program
      .command(name)
      .description(about)
      .addHelpText('after', `\nExample:\n  $ sandbox-broker ${example}`);
    if (name === 'retries')
      command.option('--task <name>', 'only tasks whose names begin so, such as csp_delete:');
    command.action(async (_options, self: Command) => {
      const options: LookOptions = self.optsWithGlobals();
      const query = { task: options.task };
      const answer = as<unknown>(await callerFor('admin', options)({ method: 'GET', path, query }));
      const output = createOutput(options);
      output.result(answer, () => lines(answer, output));
    });
  }
}
