import type { Table } from './cost/report.ts';
import { cyclesTables } from './cycles.ts';
import { byOperation, type Measurement } from './measurement.ts';
import { type Results, targetsOf } from './results.ts';
import { median, percentile } from './statistics.ts';

const whole = (value: number): string => value.toFixed(0);
const fine = (value: number): string => value.toFixed(2);

export const LOAD_HEAD = [
  'scenario',
  'calls',
  'per s',
  'p50 ms',
  'p95 ms',
  'p99 ms',
  'refused',
  'errors',
  'transactions',
  'store calls',
  'timed out',
  'broker CPU ms',
];

export const loadRow = (measured: Measurement, scenario = measured.scenario): string[] => [
  scenario,
  `${measured.rounds} × ${measured.callsPerRound}`,
  whole(measured.perSecond),
  ...[measured.p50Ms, measured.p95Ms, measured.p99Ms].map((ms) => ms.toFixed(ms < 100 ? 1 : 0)),
  String(measured.refused),
  String(measured.errors),
  fine(measured.transactionsPerAllocation),
  fine(measured.storeCallsPerAllocation),
  String(measured.storeTimeouts),
  fine(measured.brokerCpuMsPerAllocation),
];

function rawRow(measured: Measurement): string[] {
  const { raw } = measured;
  if (!raw) return [];
  return [
    measured.scenario,
    whole(measured.perSecond),
    whole(raw.perSecond),
    fine(raw.throughputRatio),
    fine(measured.brokerCpuMsPerAllocation),
    fine(raw.cpuMsPerTransaction),
    fine(raw.cpuRatio),
  ];
}

/** The results as tables, the promises first. */
function toTables(results: Results): Table[] {
  const {
    storms,
    sameKey,
    oneByOne,
    sustained,
    shortOfRoom,
    growth,
    startMs,
    memory,
    safety,
    jobStartMs,
    jobSubmitMs,
  } = results;
  const { lookUps } = results;
  const loads = [
    ...storms.flatMap(({ result: { leases, replays } }) => [
      loadRow(leases),
      loadRow(replays, `… ${replays.scenario}`),
    ]),
    loadRow(sameKey.measurement),
    loadRow(oneByOne),
    loadRow(sustained.measurement),
    ...shortOfRoom.map((one) => loadRow(one)),
  ];
  const measured = [
    ...storms.flatMap(({ result: { leases, replays } }) => [
      [leases.scenario, byOperation(leases)],
      [`… ${replays.scenario}`, byOperation(replays)],
    ]),
    ...[sameKey.measurement, oneByOne, sustained.measurement].map((one) => [one.scenario, byOperation(one)]),
  ];
  return [
    {
      title: 'Promises',
      head: ['promise', 'wanted', 'measured', ''],
      rows: targetsOf(results).map((target) => [
        target.promise,
        target.wanted,
        target.measured,
        target.kept ? 'pass' : 'MISS',
      ]),
    },
    { title: 'Loads', head: LOAD_HEAD, rows: loads },
    ...cyclesTables(results.cycles),
    {
      title: 'Beside the bare engine',
      head: [
        'scenario',
        'allocations/s',
        'bare transactions/s',
        'ratio',
        'broker CPU ms',
        'bare client CPU ms',
        'ratio',
      ],
      rows: [...storms.map(({ result }) => result.leases), oneByOne].map(rawRow),
    },
    { title: 'Store calls per allocation', head: ['scenario', 'by operation'], rows: measured },
    {
      title: 'Growth',
      head: [
        'pool',
        'per s',
        'p50 ms',
        'p99 ms',
        'store calls',
        'broker CPU ms',
        'CPU to the smallest',
        'per s, share of the bare engine, to the smallest',
      ],
      rows: growth.map((point) => [
        point.measurement.scenario,
        whole(point.measurement.perSecond),
        whole(point.measurement.p50Ms),
        whole(point.measurement.p99Ms),
        fine(point.measurement.storeCallsPerAllocation),
        fine(point.measurement.brokerCpuMsPerAllocation),
        fine(point.cpuToSmallest),
        fine(point.throughputToSmallest),
      ]),
    },
    {
      title: 'Look-ups',
      head: ['pool', 'of', 'found', 'store calls', 'p50 ms', 'p99 ms'],
      rows: lookUps.map(({ sandboxes, what, found, storeCalls, p50Ms, p99Ms }) => [
        `${sandboxes} sandboxes`,
        what,
        whole(found),
        fine(storeCalls),
        p50Ms.toFixed(1),
        p99Ms.toFixed(1),
      ]),
    },
    {
      title: 'The process',
      head: ['what', 'measured'],
      rows: [
        ['start to ready, median', `${whole(median(startMs))} ms of ${startMs.map(whole).join(', ')}`],
        ...memory.idle.map(({ sandboxes, residentMiB }) => [
          `resident memory at rest, ${sandboxes} sandboxes`,
          `${whole(residentMiB)} MiB`,
        ]),
        ...memory.after.map(({ allocations, residentMiB }) => [
          `resident memory after ${allocations} answered allocations`,
          `${whole(residentMiB)} MiB`,
        ]),
        ['resident memory at rest after these', `${whole(memory.restedMiB)} MiB`],
        ['refused, errors meanwhile', `${memory.refused}, ${memory.errors}`],
        [
          'a durable job, its submission',
          `p50 ${percentile(jobSubmitMs, 0.5).toFixed(1)} ms, p99 ${percentile(jobSubmitMs, 0.99).toFixed(1)} ms`,
        ],
        [
          'a job, from its submission to its start',
          `p50 ${percentile(jobStartMs, 0.5).toFixed(1)} ms, p99 ${percentile(jobStartMs, 0.99).toFixed(1)} ms`,
        ],
        [
          'mark for deletion under sustained load',
          `p50 ${sustained.markP50Ms.toFixed(1)} ms, p99 ${sustained.markP99Ms.toFixed(1)} ms, ${sustained.marksFailed} failed`,
        ],
      ],
    },
    {
      title: 'The safety systems, beside their store calls',
      head: ['system', 'CPU µs per call'],
      rows: safety.map(({ system, cpuMicroseconds }) => [system, cpuMicroseconds.toFixed(1)]),
    },
  ];
}

/** For a terminal: columns in line. */
export const tablesToText = (tables: readonly Table[]): string =>
  tables
    .map(({ title, head, rows }) => {
      const widths = head.map((_, column) =>
        Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)),
      );
      const line = (row: string[]) =>
        row
          .map((cell, column) =>
            column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
          )
          .join('  ')
          .trimEnd();
      return [`# ${title}`, line(head), ...rows.map(line)].join('\n');
    })
    .join('\n\n');

const tablesToMarkdown = (tables: readonly Table[]): string[] =>
  tables.map(({ title, head, rows }) => {
    const line = (row: string[]) => `| ${row.join(' | ')} |`;
    return [`### ${title}`, '', line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
  });

export const toText = (results: Results): string => tablesToText(toTables(results));

/** For docs/benchmarks.md. */
export const toMarkdown = (results: Results): string =>
  [
    `Taken on ${results.takenAt.slice(0, 10)}: ${results.cores} cores, Node ${results.node}, load average ${results.loadAverage.map(fine).join(' → ')}.`,
    ...tablesToMarkdown(toTables(results)),
  ].join('\n\n');

/** For docs/benchmarks.md. */
export const takenToMarkdown = ({ takenAt }: { takenAt: string }, tables: readonly Table[]): string =>
  [`Taken on ${takenAt.slice(0, 10)}.`, ...tablesToMarkdown(tables)].join('\n\n');
