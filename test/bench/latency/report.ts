import type { Table } from '../cost/report.ts';
import type { Measurement } from '../measurement.ts';
import { LOAD_HEAD, loadRow } from '../report.ts';

export interface LatencyResults {
  takenAt: string;
  loads: Measurement[];
  /** Sandboxes that were given to two holders. */
  doubled: number;
  /** Sandboxes that were leased beyond one for each key. */
  split: number;
}

/** The tables of `npm run bench -- --latency`. */
export const latencyTables = ({ loads, doubled, split }: LatencyResults): Table[] => [
  { title: 'As far away as DynamoDB', head: LOAD_HEAD, rows: loads.map((one) => loadRow(one)) },
  {
    title: 'And kept, in all of it together',
    head: ['promise', 'wanted', 'measured'],
    rows: [
      ['sandboxes with two holders', '0', String(doubled)],
      ['sandboxes leased beyond one per key', '0', String(split)],
    ],
  },
];
