import type { Table } from '../cost/report.ts';

/** What a sync took of the replica: resident memory at its peak, CPU time, store calls by operation. */
export interface SyncCost {
  seconds: number;
  peakMiB: number;
  cpuSeconds: number;
  storeCalls: Record<string, number>;
}

/** What others felt: one allocation after the other, and as many looks at the replica's health. */
export interface Latencies {
  allocations: number;
  p50Ms: number;
  p99Ms: number;
  healthP99Ms: number;
  healthMaxMs: number;
}

export interface ScalePoint {
  size: number;
  /** After the first sync, at rest. */
  idleMiB: number;
  first: SyncCost;
  /** The slowest of them, and the largest peak. */
  unchanged: SyncCost;
  quiet: Latencies;
  /** While the pool is synced, and nothing has changed. */
  beside: Latencies;
  /** Nothing is free under the name that was asked for, proven. */
  refusedP50Ms: number;
  /** The last sandbox, by its name. */
  byNameP50Ms: number;
}

export interface ScaleResults {
  takenAt: string;
  points: ScalePoint[];
}

/** Of the largest pool. */
const WANTED = { firstSeconds: 60, unchangedSeconds: 10, peakMiB: 350, toQuiet: 2, toSmallest: 2 };

const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const seconds = (value: number): string => `${value.toFixed(1)} s`;
const calls = ({ storeCalls }: SyncCost): string =>
  Object.entries(storeCalls)
    .map(([operation, count]) => `${operation} ${count}`)
    .join(', ');
const verdict = (value: number, limit: number): string => (value <= limit ? 'pass' : 'MISS');

function promises(smallest: ScalePoint, largest: ScalePoint): string[][] {
  const { first, unchanged, quiet, beside } = largest;
  const row = (what: string, value: number, limit: number, unit: string) => [
    what,
    `≤ ${limit}${unit}`,
    `${value.toFixed(1)}${unit}`,
    verdict(value, limit),
  ];
  return [
    row('first sync', first.seconds, WANTED.firstSeconds, ' s'),
    row('unchanged sync', unchanged.seconds, WANTED.unchangedSeconds, ' s'),
    row('resident memory meanwhile, at its peak', unchanged.peakMiB, WANTED.peakMiB, ' MiB'),
    row("allocations' p99 meanwhile to the quiet one", beside.p99Ms / quiet.p99Ms, WANTED.toQuiet, ''),
    row(
      'a 409 to one of the smallest pool',
      largest.refusedP50Ms / smallest.refusedP50Ms,
      WANTED.toSmallest,
      '',
    ),
    row(
      'an allocation by name to one of the smallest pool',
      largest.byNameP50Ms / smallest.byNameP50Ms,
      WANTED.toSmallest,
      '',
    ),
  ];
}

/** The tables of `npm run bench -- --scale`. */
export function scaleTables({ points }: ScaleResults): Table[] {
  const [smallest] = points;
  const largest = points.at(-1);
  if (!smallest || !largest) return [];
  return [
    {
      title: `A pool of ${largest.size}`,
      head: ['what', 'wanted', 'measured', ''],
      rows: promises(smallest, largest),
    },
    {
      title: 'Syncs',
      head: ['pool', 'sync', 'took', 'broker CPU', 'peak', 'at rest', 'store calls'],
      rows: points.flatMap((point) =>
        (['first', 'unchanged'] as const).map((which) => [
          String(point.size),
          which,
          seconds(point[which].seconds),
          seconds(point[which].cpuSeconds),
          `${point[which].peakMiB.toFixed(0)} MiB`,
          `${point.idleMiB.toFixed(0)} MiB`,
          calls(point[which]),
        ]),
      ),
    },
    {
      title: 'What others feel of an unchanged sync',
      head: ['pool', '', 'allocations', 'p50', 'p99', '`/healthz`, p99', 'the longest'],
      rows: points.flatMap(({ size, quiet, beside }) =>
        [
          { what: 'quiet', felt: quiet },
          { what: 'meanwhile', felt: beside },
        ].map(({ what, felt }) => [
          String(size),
          what,
          String(felt.allocations),
          ms(felt.p50Ms),
          ms(felt.p99Ms),
          ms(felt.healthP99Ms),
          ms(felt.healthMaxMs),
        ]),
      ),
    },
    {
      title: 'By name',
      head: ['pool', 'the only one of a name, p50', '409: none of a name, p50'],
      rows: points.map(({ size, byNameP50Ms, refusedP50Ms }) => [
        String(size),
        ms(byNameP50Ms),
        ms(refusedP50Ms),
      ]),
    },
  ];
}
