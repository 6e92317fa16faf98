import type { SandboxRecord } from '../broker/records.ts';
import { STATUS_NAMES } from '../wording.ts';

export const COLUMNS = ['name', 'status', 'holder', 'lab', 'lease', 'updated'] as const;
export type Column = (typeof COLUMNS)[number];

export interface Sorting {
  column: Column;
  isDescending: boolean;
}

const VALUES: Readonly<Record<Column, (row: SandboxRecord) => string | number | undefined>> = {
  name: (row) => row.name,
  status: (row) => STATUS_NAMES[row.status],
  holder: (row) => row.allocated_to_track,
  lab: (row) => row.track_name,
  lease: (row) => (row.status === 'allocated' ? row.expires_at : undefined),
  updated: (row) => row.updated_at,
};

const collator = new Intl.Collator('en', { numeric: true });

/** A copy in this order; what has no value comes last, whichever way. Without a sorting, as the broker gave them. */
export function sorted(rows: readonly SandboxRecord[], sorting: Sorting | undefined): SandboxRecord[] {
  if (sorting === undefined) return [...rows];
  const value = VALUES[sorting.column];
  const sign = sorting.isDescending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === undefined || right === undefined)
      return Number(left === undefined) - Number(right === undefined);
    return (
      sign *
      (typeof left === 'number' && typeof right === 'number'
        ? left - right
        : collator.compare(String(left), String(right)))
    );
  });
}
