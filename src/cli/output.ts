import { writeSync } from 'node:fs';
import { EXIT } from './exit-codes.ts';

/** Where a command's results go: standard output for results, standard error for everything else. */
export interface Output {
  /** A result: as JSON with `--json`, else as these lines. */
  result(value: unknown, lines: () => string[]): void;
  note(text: string): void;
}

export function createOutput({ json }: { json?: boolean | undefined }): Output {
  return {
    result: (value, lines) => print(json ? [JSON.stringify(value, undefined, 2)] : lines()),
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

type Cell = string | number | undefined;

/** Columns under their names, as wide as their widest cell. */
export function table(columns: string[], rows: Cell[][]): string[] {
  const texts = [columns, ...rows.map((row) => row.map((cell) => plain(String(cell ?? '-'))))];
  const widths = columns.map((_, index) => Math.max(...texts.map((row) => row[index]?.length ?? 0)));
  return texts.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** Names and values, one a line. */
export function fields(record: Record<string, unknown>): string[] {
  const given = Object.entries(record).filter(([, value]) => value !== undefined);
  const width = Math.max(0, ...given.map(([name]) => name.length));
  return given.map(([name, value]) => {
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    return `${name.padEnd(width)}  ${plain(text)}`;
  });
}

/** Epoch seconds as a person reads them. */
export const time = (epochSeconds: unknown): string | undefined =>
  typeof epochSeconds === 'number'
    ? new Date(epochSeconds * 1000).toISOString().replace('.000Z', 'Z')
    : undefined;

/** A name from elsewhere gives no orders to a terminal. */
const plain = (text: string): string => text.replace(/\p{Cc}/gu, '\ufffd');
