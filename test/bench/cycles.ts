import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../support/until.ts';
import type { Table } from './cost/report.ts';
import type { Answer } from './load.ts';
import { byOperation, type Measurement, measureRound, toMeasurement } from './measurement.ts';
import { type Stage, WARM_UP_LEASES, warmUp, withPool, withReplicas } from './stage.ts';
import { percentile } from './statistics.ts';
import { QUICK_CLEANUP, visitUntil } from './steady.ts';

const POOL_SIZE = 3_000;
const REPLICAS = 2;
const LEASES_A_MINUTE = 10_000;
/** Half of the labs give back at once, the others after up to so long. */
const LONGEST_HOLD_MS = 4_000;
/** In the steady form: labs that come and go as fast as they are answered. */
const LABS = 64;
/** Over two replicas. */
export const CYCLES_WANTED = 400;
const BACK_WITHIN_MS = 300_000;

/** Leases that went all the way: allocated, given back, cleaned, and free again. */
export interface CyclesResult {
  /** Of the allocations; CPU and store calls are those of whole cycles, loops included. */
  measurement: Measurement;
  /** From the first call until the last sandbox was free again. */
  cyclesPerSecond: number;
  /** From the last answer until then. */
  lastBackMs: number;
  markP50Ms: number;
  markP99Ms: number;
  /** Marks that were not answered with 200. */
  marksFailed: number;
}

export interface Cycles {
  takenAt: string;
  /** So many a minute, whether the broker keeps up or not. */
  steady: CyclesResult;
  /** As many as there can be. */
  flatOut: CyclesResult;
}

/** 10,000 leases a minute out of a pool of 3,000, and then as many as there can be, both over two replicas. */
export async function measureCycles(seconds: number): Promise<Cycles> {
  return {
    takenAt: new Date().toISOString(),
    steady: await cycles(
      `${LEASES_A_MINUTE} leases a minute for ${seconds} s, pool of ${POOL_SIZE}, ${REPLICAS} replicas`,
      (stage) => arrive(stage, seconds),
    ),
    flatOut: await cycles(
      `${LABS} labs flat out for ${seconds / 4} s, pool of ${POOL_SIZE}, ${REPLICAS} replicas`,
      (stage) => {
        const endMs = performance.now() + (seconds / 4) * 1_000;
        return visitUntil(stage, { concurrency: LABS, replays: 0 }, () => performance.now() > endMs);
      },
    ),
  };
}

interface Calls {
  asked: Answer[];
  marked: Answer[];
}

async function cycles(name: string, load: (stage: Stage) => Promise<Calls>): Promise<CyclesResult> {
  return await withPool({ size: POOL_SIZE + REPLICAS * WARM_UP_LEASES }, (pool) =>
    withReplicas(
      pool,
      REPLICAS,
      async (stage) => {
        await warmUp(stage);
        let marked: Answer[] = [];
        let answeredMs = 0;
        let backMs = 0;
        const round = await measureRound(stage.replicas, async () => {
          const calls = await load(stage);
          answeredMs = performance.now();
          marked = calls.marked;
          await until(async () => (await pool.countFree()) >= POOL_SIZE, {
            timeoutMs: BACK_WITHIN_MS,
            what: 'the last sandbox to be free again',
          });
          backMs = performance.now();
          return calls.asked;
        });
        const latenciesMs = marked.map(({ latencyMs }) => latencyMs);
        return {
          measurement: toMeasurement(name, REPLICAS, [round]),
          cyclesPerSecond: (round.answered / round.elapsedMs) * 1_000,
          lastBackMs: backMs - answeredMs,
          markP50Ms: percentile(latenciesMs, 0.5),
          markP99Ms: percentile(latenciesMs, 0.99),
          marksFailed: marked.filter(({ status }) => status !== 200).length,
        };
      },
      QUICK_CLEANUP,
    ),
  );
}

/** Labs that come when their time has come, however long the others take: a broker that falls behind is not spared. */
async function arrive({ labs, urlFor }: Stage, seconds: number): Promise<Calls> {
  const calls: Calls = { asked: [], marked: [] };
  const total = Math.round((LEASES_A_MINUTE / 60) * seconds);
  const startMs = performance.now();
  const visit = async (lab: number) => {
    const holder = randomUUID();
    const asked = await labs.allocate(urlFor(lab), holder);
    calls.asked.push(asked);
    if (asked.sandboxId === undefined) return;
    if (lab % 2 === 1) await delay(Math.random() * LONGEST_HOLD_MS);
    calls.marked.push(await labs.mark(urlFor(lab + 1), asked.sandboxId, holder));
  };
  const visits: Promise<void>[] = [];
  for (let lab = 0; lab < total; lab++) {
    const waitMs = startMs + (lab * 60_000) / LEASES_A_MINUTE - performance.now();
    if (waitMs > 0) await delay(waitMs);
    visits.push(visit(lab));
  }
  await Promise.all(visits);
  return calls;
}

const NO_REFUSAL = 'refused, failed, marks failed';

/** The tables of `npm run bench -- --cycles`. */
export const cyclesTables = ({ steady, flatOut }: Cycles): Table[] => [
  {
    title: 'Leases that come and go',
    head: [
      'scenario',
      'leases',
      'cycles/s',
      'wanted',
      NO_REFUSAL,
      'p50 ms',
      'p99 ms',
      'mark p50 ms',
      'mark p99 ms',
      'last one back after ms',
      'broker CPU ms a cycle',
      'store calls a cycle',
    ],
    rows: [row(steady, '0 refused'), row(flatOut, `≥ ${CYCLES_WANTED}/s`)],
  },
  {
    title: 'Store calls a cycle',
    head: ['scenario', 'by operation'],
    rows: [steady, flatOut].map(({ measurement }) => [measurement.scenario, byOperation(measurement)]),
  },
];

function row(result: CyclesResult, wanted: string): string[] {
  const { measurement } = result;
  return [
    measurement.scenario,
    String(measurement.answered),
    result.cyclesPerSecond.toFixed(0),
    wanted,
    [measurement.refused, measurement.errors, result.marksFailed].join(', '),
    ...[measurement.p50Ms, measurement.p99Ms, result.markP50Ms, result.markP99Ms].map((ms) => ms.toFixed(1)),
    result.lastBackMs.toFixed(0),
    measurement.brokerCpuMsPerAllocation.toFixed(2),
    measurement.storeCallsPerAllocation.toFixed(2),
  ];
}
