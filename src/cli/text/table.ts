import { colored, type Toned } from './tones.ts';

export type Cell = string | number | undefined | Toned;

const GAP = '  ';
const CUT = '…';
/** What is left of a cell in the narrowest terminal, its mark included. */
const NARROWEST = 6;

const textOf = (cell: Cell): string => plain(typeof cell === 'object' ? cell.text : String(cell ?? '-'));

/** A name from elsewhere gives no orders to a terminal. */
export const plain = (text: string): string => text.replace(/\p{Cc}/gu, '\ufffd');

/**
 * Columns under their names, as wide as their widest cell; where a line would be longer than `width`, the widest columns
 * give way. Times, numbers and words with a tone are never cut: a part of them is worth nothing.
 */
export function table(
  columns: readonly string[],
  rows: readonly Cell[][],
  width = Number.POSITIVE_INFINITY,
): string[] {
  const texts = [[...columns], ...rows.map((row) => row.map(textOf))];
  const natural = columns.map((_, index) => Math.max(...texts.map((row) => row[index]?.length ?? 0)));
  const least = columns.map((name, index) =>
    rows.some((row) => isWhole(row[index])) ? (natural[index] ?? 0) : Math.max(NARROWEST, name.length),
  );
  const widths = fitted(natural, least, width);
  return texts.map((row, line) =>
    row
      .map((text, index) => {
        const room = widths[index] ?? 0;
        const shown = text.length > room ? `${text.slice(0, room - 1)}${CUT}` : text;
        const cell = line === 0 ? undefined : rows[line - 1]?.[index];
        const padding = index === row.length - 1 ? '' : ' '.repeat(room - shown.length);
        return (typeof cell === 'object' ? colored({ ...cell, text: shown }) : shown) + padding;
      })
      .join(GAP),
  );
}

const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;
const isWhole = (cell: Cell): boolean =>
  typeof cell === 'object' || typeof cell === 'number' || (cell !== undefined && TIME.test(cell));

/** The widest give way first, one by one, until all fit or none can be narrower. */
function fitted(natural: readonly number[], least: readonly number[], width: number): number[] {
  const widths = [...natural];
  let over = widths.reduce((sum, each) => sum + each, 0) + GAP.length * (widths.length - 1) - width;
  while (over > 0) {
    const canGive = widths.map((each, index) => (each > (least[index] ?? 0) ? each : 0));
    const widest = canGive.indexOf(Math.max(...canGive));
    if (!canGive[widest]) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    over--;
  }
  return widths;
}
