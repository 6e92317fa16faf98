import { type Command, Option } from 'commander';
import type { Status } from '../../api/types/status.ts';
import { BrokerError } from '../../client/index.ts';
import { pause } from '../../client/waiting.ts';
import { POOL_STATUSES } from '../../domain/sandbox.ts';
import { as } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { EXIT, exitCodeOf } from '../exit-codes.ts';
import { createOutput, print, printText, time } from '../output.ts';
import { durationSeconds } from '../text/numbers.ts';
import { statusLines } from '../text/status-lines.ts';
import { colored, severity, verdictWord } from '../text/tones.ts';
import { untilTold } from '../until-told.ts';

interface WatchOptions extends GlobalOptions {
  every: number;
}

const ALERTS = 3;
/** To the top left; each line is cleared to its end, and what is below the last one, too: nothing flickers. */
const HOME = '\u001b[H';
const TO_LINE_END = '\u001b[K';
const BELOW = '\u001b[J';
const CLEAR = '\u001b[2J';

/** Status and counts, live. */
export function addWatchCommand(program: Command): void {
  program
    .command('watch')
    .description('show status and counts, live, until Ctrl-C')
    .addOption(new Option('--every <time>', 'how often to look').argParser(durationSeconds).default(2, '2s'))
    .addHelpText(
      'after',
      `
On a terminal it draws one page over and over; elsewhere it writes a line for each change, with --json the whole status. A
broker that does not answer is waited for, and said.

Examples:
  $ sandbox-broker watch
  $ sandbox-broker watch --every 10s | tee training.log`,
    )
    .action(async (_options, command: Command) => {
      const options: WatchOptions = command.optsWithGlobals();
      const told = untilTold();
      const isPage = process.stdout.isTTY && !options.json;
      const show = isPage ? drawPage() : tellChanges(options);
      // No retries: the next look is one.
      const call = callerFor('admin', options, { retries: 0 });
      while (!told.aborted) {
        try {
          const path = '/v1/admin/status';
          show.status(as<Status>(await call({ method: 'GET', path, signal: told })));
        } catch (error) {
          if (told.aborted) break;
          if (!(error instanceof BrokerError) || exitCodeOf(error) === EXIT.refused) throw error;
          show.silence(error.message);
        }
        await pause(options.every * 1000, told).catch(() => undefined);
      }
    });
}

interface Shown {
  status(status: Status): void;
  /** Nobody answers. */
  silence(why: string): void;
}

const now = () => time(Math.floor(Date.now() / 1000));

function drawPage(): Shown {
  let lines: string[] = [];
  const draw = (head: string) =>
    printText(HOME + [head, '', ...lines].map((line) => `${line}${TO_LINE_END}\n`).join('') + BELOW);
  printText(CLEAR);
  return {
    status(status) {
      lines = [...statusLines(status), '', ...alertLines(status)];
      draw(`${now()}  Ctrl-C ends`);
    },
    silence: (why) => draw(`${now()}  ${colored({ text: why, tone: 'bad' })} What follows is older.`),
  };
}

const alertLines = ({ alerts }: Status): string[] =>
  alerts.slice(0, ALERTS).map((alert) => {
    const word = severity(alert.severity);
    return `${time(alert.timestamp)}  ${typeof word === 'string' ? word : colored(word)}  ${alert.task}  ${alert.reason}`;
  });

/** A line for each change, for logs and pipes. */
function tellChanges({ json }: WatchOptions): Shown {
  const output = createOutput({ json });
  let last: string | undefined;
  const tell = (text: string, lines: () => string[]) => {
    if (text === last) return;
    last = text;
    print(lines());
  };
  return {
    status(status) {
      const { readiness, pool, dry_run } = status;
      const { as_of: _asOf, ...counts } = pool ?? {};
      tell(JSON.stringify([readiness?.verdict, readiness?.reasons, counts, dry_run]), () => [
        json ? JSON.stringify(status) : changeLine(status),
      ]);
    },
    silence(why) {
      if (last === why) return;
      last = why;
      output.note(`${now()}  ${why}`);
    },
  };
}

function changeLine({ readiness, pool }: Status): string {
  const texts = POOL_STATUSES.map((status) => `${status}=${pool?.[status] ?? '?'}`);
  const why = readiness?.reasons.length ? `  ${readiness.reasons.join('; ')}` : '';
  return `${now()}  ${verdictWord(readiness?.verdict).text}  ${texts.join(' ')} total=${pool?.total ?? '?'}${why}`;
}
