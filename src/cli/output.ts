import { writeSync } from 'node:fs';
import { terminalWidth } from './environment.ts';
import { EXIT } from './exit-codes.ts';
import { type Cell, plain, table } from './text/table.ts';
import { colored, isToned } from './text/tones.ts';

/** Where a command's results go: standard output for results, standard error for everything else. */
export interface Output {
  /** A result: as JSON with `--json`, else as these lines. */
  result(value: unknown, lines: () => string[]): void;
  /** Lines of a table, cut to the terminal unless `--wide` is given. */
  table(columns: readonly string[], rows: readonly Cell[][]): string[];
  note(text: string): void;
}

export function createOutput({
  json,
  wide,
}: {
  json?: boolean | undefined;
  wide?: boolean | undefined;
}): Output {
  return {
    result: (value, lines) => print(json ? [JSON.stringify(value, undefined, 2)] : lines()),
    table: (columns, rows) => table(columns, rows, wide ? undefined : terminalWidth()),
    note: (text) => writeAll(2, `${text}\n`),
  };
}

export const print = (lines: string[]): void =>
  printText(
    lines
      .map(
        (line) => `${line}
`,
      )
      .join(''),
  );

export const printText = (text: string): void => writeAll(1, text);

/** All of it, also into a pipe that is full: an export must not lose its end to an exit. */
function writeAll(fd: number, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      // The reader has seen enough, as `head` has: nobody is left to work for.
      if (code === 'EPIPE') process.exit(EXIT.ok);
      if (code !== 'EAGAIN') throw error;
    }
  }
}

/** Names and values, one a line; what is undefined is left out. */
export function fields(record: Record<string, unknown>): string[] {
  const given = Object.entries(record).filter(([, value]) => value !== undefined);
  const width = Math.max(0, ...given.map(([name]) => name.length));
  return given.map(([name, value]) => {
    return `${name.padEnd(width)}  ${shown(value)}`;
  });
}

function shown(value: unknown): string {
  if (isToned(value)) return colored({ ...value, text: plain(value.text) });
  return plain(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

/** Epoch seconds as a person reads them. */
export const time = (epochSeconds: unknown): string | undefined =>
  typeof epochSeconds === 'number'
    ? new Date(epochSeconds * 1000).toISOString().replace('.000Z', 'Z')
    : undefined;

const TIMES = /(^|_)(at|by|since|before|until|timestamp|as_of)$/;

/** A record with its times in words. */
export const withTimes = (record: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(record).map(([name, value]) => [name, TIMES.test(name) ? (time(value) ?? value) : value]),
  );
