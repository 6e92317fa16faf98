import type { Table } from '../cost/report.ts';

/** From a sandbox's hand-over to the answer of who waited for it. */
export interface TurnTimes {
  replicas: number;
  turns: number;
  p50Ms: number;
  p99Ms: number;
}

export interface LineCost {
  callers: number;
  /** Reads of keys and transactions for each that joins. */
  joinCalls: number;
  /** Of the whole replica while all of them go on waiting, its own chores included. */
  readsPerSecond: number;
  writesPerSecond: number;
}

interface Latencies {
  p50Ms: number;
  p99Ms: number;
}

export interface Crowd {
  callers: number;
  /** Replays of leases, one after the other, before the crowd came and while it waits. */
  alone: Latencies;
  beside: Latencies;
  aloneMiB: number;
  besideMiB: number;
  /** After SIGTERM. */
  toldWaiting: number;
  lastToldMs: number;
}

export interface LineResults {
  takenAt: string;
  turnTimes: TurnTimes[];
  cost: LineCost;
  crowd: Crowd;
}

const WANTED = { p50Ms: 300, p99Ms: 1_000, joinCalls: 2, readsPerSecond: 2, toldWithinMs: 1_000 };

const ms = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const atMost = (value: number, limit: number): string => (value <= limit ? 'pass' : 'MISS');

/** The tables of `npm run bench -- --line`. */
export const lineTables = ({ turnTimes, cost, crowd }: LineResults): Table[] => [
  {
    title: 'From the hand-over to the answer',
    head: ['replicas', 'turns', 'p50', 'p99', `p50 ≤ ${WANTED.p50Ms} ms, p99 ≤ 1 s`],
    rows: turnTimes.map(({ replicas, turns, p50Ms, p99Ms }) => [
      String(replicas),
      String(turns),
      ms(p50Ms),
      ms(p99Ms),
      p99Ms <= WANTED.p99Ms ? atMost(p50Ms, WANTED.p50Ms) : 'MISS',
    ]),
  },
  {
    title: 'What waiting costs the store',
    head: ['what', 'wanted', 'measured', ''],
    rows: [
      [
        `store calls to join, ${cost.callers} one after the other`,
        `≤ ${WANTED.joinCalls}`,
        cost.joinCalls.toFixed(2),
        atMost(cost.joinCalls, WANTED.joinCalls),
      ],
      [
        `reads a second for ${cost.callers} who go on waiting on one replica`,
        `≤ ${WANTED.readsPerSecond}`,
        cost.readsPerSecond.toFixed(2),
        atMost(cost.readsPerSecond, WANTED.readsPerSecond),
      ],
      ['writes a second meanwhile', '', cost.writesPerSecond.toFixed(2), ''],
    ],
  },
  {
    title: `${crowd.callers} who wait on one replica`,
    head: ['what', 'before', 'meanwhile'],
    rows: [
      ["others' calls, p50", ms(crowd.alone.p50Ms), ms(crowd.beside.p50Ms)],
      ["others' calls, p99", ms(crowd.alone.p99Ms), ms(crowd.beside.p99Ms)],
      ['resident memory', `${crowd.aloneMiB.toFixed(0)} MiB`, `${crowd.besideMiB.toFixed(0)} MiB`],
      ['after SIGTERM, told their places', '', `${crowd.toldWaiting} of ${crowd.callers}`],
      [`the last of them, wanted ≤ ${ms(WANTED.toldWithinMs)}`, '', ms(crowd.lastToldMs)],
    ],
  },
];
