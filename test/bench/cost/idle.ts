import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { composeBroker } from '../../../src/compose/index.ts';
import { loadConfig } from '../../../src/config/index.ts';
import { DEVELOPMENT_TOKENS } from '../../../src/config/variables.ts';
import { startEngine } from '../../../src/store/engine/engine.ts';
import { createPool, type Pool } from '../pool.ts';
import { type Cost, type Meter, startMeter } from './meter.ts';

/** A pool that nobody uses. */
export interface IdleCost {
  sandboxes: number;
  replicas: number;
  /** Of all replicas, by the time that has passed. */
  callsPerMinute: number;
  /** Units of a month of 30.4 days. */
  reads: number;
  writes: number;
  /** Of the units, what each thing takes. */
  parts: Record<string, { reads: number; writes: number }>;
  /** Computed from two smaller pools. */
  isExtrapolated: boolean;
}

const MONTH_MINUTES = (365.25 / 12) * 24 * 60;
/** More than the time between two of what a replica does all the time, and many more calls than that makes. */
const SETTLING_MS = 12_000;
const SETTLED_MS = 4_000;
const SETTLED_CALLS = 100;
/** A look through a large pool reads so much with a single call. */
const SETTLED_READS = 60;
const WEEK_SECONDS = '604800';
/** As they are by default. */
const RUNS = [
  { path: '/v1/admin/sync', name: 'sync', everyMinutes: 10 },
  { path: '/v1/admin/cleanup', name: 'cleanup', everyMinutes: 5 },
  { path: '/v1/admin/expire', name: 'expiry', everyMinutes: 5 },
] as const;

const COUNTS_EVERY_MINUTES = 5;

type Units = { reads: number; writes: number };

/** Brokers on the pool, in this process, with these loops and no others, for as long as `work` takes. */
async function withBrokers<T>(
  {
    meter,
    pool,
    replicas,
    env,
  }: { meter: Meter; pool: Pool; replicas: number; env?: Record<string, string> },
  work: (urls: string[]) => Promise<T>,
): Promise<T> {
  const brokers = Array.from({ length: replicas }, () =>
    composeBroker(
      loadConfig({
        HOST: '127.0.0.1',
        PORT: '0',
        LOG_LEVEL: 'fatal',
        SANDBOX_DB_URL: meter.endpoint,
        DDB_TABLE_NAME: pool.table,
        SIMULATED_POOL_SIZE: String(pool.size),
        SYNC_INTERVAL_SEC: WEEK_SECONDS,
        CLEANUP_INTERVAL_SEC: WEEK_SECONDS,
        AUTO_EXPIRY_INTERVAL_SEC: WEEK_SECONDS,
        COUNT_INTERVAL_SEC: WEEK_SECONDS,
        ...env,
      }),
    ),
  );
  try {
    const urls = await Promise.all(brokers.map(async (broker) => (await broker.start()).url));
    await untilSettled(meter);
    return await work(urls);
  } finally {
    await Promise.all(brokers.map((broker) => broker.stop()));
  }
}

/** The first runs are over, and all that follows from them. */
async function untilSettled(meter: Meter): Promise<void> {
  await delay(SETTLING_MS);
  let cost: Cost;
  do cost = await measured(meter, SETTLED_MS);
  while (cost.calls > SETTLED_CALLS || cost.reads > SETTLED_READS);
}

async function measured(meter: Meter, ms: number): Promise<Cost> {
  meter.reset();
  await delay(ms);
  return meter.cost;
}

/**
 * A month in which nothing happens: what the replicas do all the time, over `windowMs`, and the runs, each measured once
 * and counted as often as it comes.
 */
export async function idleCost(sandboxes: number, replicas: number, windowMs: number): Promise<IdleCost> {
  const engine = await startEngine({ file: undefined });
  const meter = await startMeter(engine.endpoint);
  const pool = await createPool(engine.endpoint, sandboxes);
  const minutes = windowMs / 60_000;
  const parts: IdleCost['parts'] = {};
  let callsPerMinute = 0;
  function add(name: string, { calls, reads, writes }: Cost, everyMinutes: number, asked = 0): void {
    callsPerMinute += (calls + asked) / everyMinutes;
    parts[name] = times({ reads, writes: writes + asked }, MONTH_MINUTES / everyMinutes);
  }
  try {
    await withBrokers({ meter, pool, replicas }, async (urls) => {
      add('all the time', await measured(meter, windowMs), minutes);
      for (const { path, name, everyMinutes } of RUNS) {
        // Of the other replicas each asks for the turn and is told that it is served.
        add(name, await runOnce(meter, `${urls[0]}${path}`), everyMinutes, replicas - 1);
      }
    });
    const counts = await countOnce(meter, pool, windowMs);
    add('counts', counts, COUNTS_EVERY_MINUTES, replicas - 1);
    const total = sumUp(Object.values(parts));
    return { sandboxes, replicas, callsPerMinute, ...total, parts, isExtrapolated: false };
  } finally {
    pool.close();
    await meter.close();
    await engine.stop();
  }
}

/** One count: of one replica that counts often, and does nothing else more than before. */
async function countOnce(meter: Meter, pool: Pool, windowMs: number): Promise<Cost> {
  const quiet = await withBrokers({ meter, pool, replicas: 1 }, () => measured(meter, windowMs));
  const env = { COUNT_INTERVAL_SEC: '5' };
  const counting = await withBrokers({ meter, pool, replicas: 1, env }, () => measured(meter, windowMs));
  const counts = counting.written['STAT'] ?? 0;
  if (counts === 0) throw new Error('nothing was counted');
  return {
    ...counting,
    calls: (counting.calls - quiet.calls) / counts,
    reads: (counting.reads - quiet.reads) / counts,
    writes: (counting.writes - quiet.writes) / counts,
  };
}

async function runOnce(meter: Meter, url: string): Promise<Cost> {
  meter.reset();
  const { statusCode, body } = await request(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${DEVELOPMENT_TOKENS.admin}` },
    bodyTimeout: 0,
    headersTimeout: 0,
  });
  await body.dump();
  if (statusCode !== 200) throw new Error(`${url} answered ${statusCode}`);
  return meter.cost;
}

/** A larger pool, on the line through two measured ones. */
export function extrapolated(small: IdleCost, large: IdleCost, sandboxes: number): IdleCost {
  const along = (one: number, other: number) =>
    other + ((other - one) / (large.sandboxes - small.sandboxes)) * (sandboxes - large.sandboxes);
  const parts = Object.fromEntries(
    Object.entries(large.parts).map(([name, units]) => {
      const before = small.parts[name] ?? { reads: 0, writes: 0 };
      const each = { reads: along(before.reads, units.reads), writes: along(before.writes, units.writes) };
      return [name, each];
    }),
  );
  return {
    sandboxes,
    replicas: large.replicas,
    // Most calls do not grow with the pool; those that page through it do.
    callsPerMinute: Math.max(large.callsPerMinute, along(small.callsPerMinute, large.callsPerMinute)),
    ...sumUp(Object.values(parts)),
    parts,
    isExtrapolated: true,
  };
}

const times = ({ reads, writes }: Units, factor: number): Units => ({
  reads: reads * factor,
  writes: writes * factor,
});
const sumUp = (all: readonly Units[]): Units => ({
  reads: all.reduce((sum, { reads }) => sum + reads, 0),
  writes: all.reduce((sum, { writes }) => sum + writes, 0),
});
