import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { composeBroker } from '../../../src/compose/index.ts';
import { loadConfig } from '../../../src/config/index.ts';
import { DEVELOPMENT_TOKENS } from '../../../src/config/variables.ts';
import { startEngine } from '../../../src/store/engine/engine.ts';
import { createPool } from '../pool.ts';
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
const SETTLING_MS = 12_000;
const WEEK_SECONDS = '604800';
/** As they are by default. */
const RUNS = [
  { path: '/v1/admin/sync', name: 'sync', everyMinutes: 10 },
  { path: '/v1/admin/cleanup', name: 'cleanup', everyMinutes: 5 },
  { path: '/v1/admin/expire', name: 'expiry', everyMinutes: 5 },
] as const;

type Units = { reads: number; writes: number };

/**
 * A month in which nothing happens: what the replicas do all the time, over `windowMs`, and the runs, each measured once
 * and counted as often as it comes.
 */
export async function idleCost(sandboxes: number, replicas: number, windowMs: number): Promise<IdleCost> {
  const engine = await startEngine({ file: undefined });
  const meter = await startMeter(engine.endpoint);
  const pool = await createPool(engine.endpoint, sandboxes);
  const brokers = Array.from({ length: replicas }, () =>
    composeBroker(
      loadConfig({
        HOST: '127.0.0.1',
        PORT: '0',
        LOG_LEVEL: 'fatal',
        SANDBOX_DB_URL: meter.endpoint,
        DDB_TABLE_NAME: pool.table,
        SIMULATED_POOL_SIZE: String(sandboxes),
        SYNC_INTERVAL_SEC: WEEK_SECONDS,
        CLEANUP_INTERVAL_SEC: WEEK_SECONDS,
        AUTO_EXPIRY_INTERVAL_SEC: WEEK_SECONDS,
      }),
    ),
  );
  try {
    const urls = await Promise.all(brokers.map(async (broker) => (await broker.start()).url));
    await delay(SETTLING_MS);
    meter.reset();
    await delay(windowMs);
    const minutes = windowMs / 60_000;
    const always = meter.cost;
    const parts: IdleCost['parts'] = { 'all the time': times(always, MONTH_MINUTES / minutes) };
    let callsPerMinute = always.calls / minutes;
    for (const { path, name, everyMinutes } of RUNS) {
      const { calls, ...units } = await runOnce(meter, `${urls[0]}${path}`);
      // Of the other replicas each asks for the turn and is told that it is served.
      const asked = replicas - 1;
      callsPerMinute += (calls + asked) / everyMinutes;
      parts[name] = times({ ...units, writes: units.writes + asked }, MONTH_MINUTES / everyMinutes);
    }
    const total = sumUp(Object.values(parts));
    return { sandboxes, replicas, callsPerMinute, ...total, parts, isExtrapolated: false };
  } finally {
    await Promise.all(brokers.map((broker) => broker.stop()));
    pool.close();
    await meter.close();
    await engine.stop();
  }
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
