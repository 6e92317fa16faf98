import { randomUUID } from 'node:crypto';
import type { Answer } from './load.ts';
import { type Measurement, measureRound, type Round, toMeasurement } from './measurement.ts';
import {
  measureRaw,
  type Stage,
  sandboxIds,
  WARM_UP_LEASES,
  warmUp,
  withPool,
  withReplicas,
} from './stage.ts';

interface StormOptions {
  callers: number;
  /** Free sandboxes when the storm begins. */
  free: number;
  /** Leased ones beside them. */
  leased?: number;
  replicas: number;
  rounds: number;
}

export interface StormResult {
  leases: Measurement;
  /** The same callers again. */
  replays: Measurement;
  /** Sandboxes that were given to two holders. */
  doubled: number;
}

export const everyHolder = (callers: number): string[] => {
  const run = randomUUID();
  return Array.from({ length: callers }, (_, index) => `${run}-${index}`);
};

/** Everybody at once, the callers dealt out to the replicas. */
export const all = ({ labs, urlFor }: Stage, holders: readonly string[]): Promise<Answer[]> =>
  Promise.all(holders.map((holder, index) => labs.allocate(urlFor(index), holder)));

/** At one replica. */
export async function oneAfterTheOther(
  { labs, urlFor }: Stage,
  holders: readonly string[],
): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const holder of holders) answers.push(await labs.allocate(urlFor(0), holder));
  return answers;
}

/** Every key from one caller per replica. */
export const fromEverywhere = (stage: Stage, keys: readonly string[]): Promise<Answer[]> =>
  all(
    stage,
    keys.flatMap((key) => stage.replicas.map(() => key)),
  );

/** Sandboxes that two holders were given, as often as that is so. */
export function countDoubled(answers: readonly Answer[]): number {
  const ids = sandboxIds(answers);
  return ids.length - new Set(ids).size;
}

/**
 * Callers who all come at once, beside the bare engine in the same round; then the same callers again, as replays.
 */
export async function storm(
  name: string,
  { callers, free, leased = 0, replicas, rounds }: StormOptions,
): Promise<StormResult> {
  const size = leased + free + replicas * WARM_UP_LEASES;
  return await withPool({ size, leased }, async (pool) => {
    const leases: Round[] = [];
    const replays: Round[] = [];
    let doubled = 0;
    for (let round = 0; round < rounds; round++) {
      const raw = await measureRaw(pool.endpoint, {
        processes: replicas,
        transactions: callers,
        concurrency: callers,
      });
      const taken = await withReplicas(pool, replicas, async (stage) => {
        const warm = await warmUp(stage);
        const holders = everyHolder(callers);
        const first = await measureRound(stage.replicas, () => all(stage, holders));
        const again = await measureRound(stage.replicas, () => all(stage, holders));
        leases.push({ ...first, raw });
        replays.push(again);
        doubled += countDoubled([...warm, ...first.answers]);
        return sandboxIds([...warm, ...first.answers]);
      });
      await pool.restore(taken);
    }
    return {
      leases: toMeasurement(name, replicas, leases),
      replays: toMeasurement('replays after it', replicas, replays),
      doubled,
    };
  });
}

export interface SameKeyResult {
  measurement: Measurement;
  keys: number;
  /** Keys whose callers were given different sandboxes. */
  split: number;
  /** Sandboxes that were leased beyond one per key. */
  leftOver: number;
}

/** Every key from one caller per replica, all at once. */
export async function sameKey(
  name: string,
  { keys, replicas, rounds }: { keys: number; replicas: number; rounds: number },
): Promise<SameKeyResult> {
  const warmUpLeases = replicas * WARM_UP_LEASES;
  return await withPool({ size: 4 * keys + warmUpLeases }, async (pool) => {
    const measured: Round[] = [];
    let split = 0;
    let leftOver = 0;
    for (let round = 0; round < rounds; round++) {
      const taken = await withReplicas(pool, replicas, async (stage) => {
        const warm = await warmUp(stage);
        const holders = everyHolder(keys);
        const run = await measureRound(stage.replicas, () => fromEverywhere(stage, holders));
        measured.push(run);
        const given = holders.map((_, key) =>
          sandboxIds(run.answers.slice(key * replicas, (key + 1) * replicas)),
        );
        split += given.filter((ids) => new Set(ids).size > 1).length;
        leftOver += (await pool.countAllocated()) - warmUpLeases - keys;
        return sandboxIds([...warm, ...run.answers]);
      });
      await pool.restore(taken);
    }
    return { measurement: toMeasurement(name, replicas, measured), keys: keys * rounds, split, leftOver };
  });
}

/** One caller who asks for one sandbox after the other; beside it one bare client that does. */
export async function oneByOne(
  name: string,
  { calls, rounds }: { calls: number; rounds: number },
): Promise<Measurement> {
  return await withPool({ size: 2 * calls + WARM_UP_LEASES }, async (pool) => {
    const measured: Round[] = [];
    for (let round = 0; round < rounds; round++) {
      const raw = await measureRaw(pool.endpoint, { processes: 1, transactions: calls, concurrency: 1 });
      const taken = await withReplicas(pool, 1, async (stage) => {
        const warm = await warmUp(stage);
        const run = await measureRound(stage.replicas, () => oneAfterTheOther(stage, everyHolder(calls)));
        measured.push({ ...run, raw });
        return sandboxIds([...warm, ...run.answers]);
      });
      await pool.restore(taken);
    }
    return toMeasurement(name, 1, measured);
  });
}

export interface GrowthPoint {
  sandboxes: number;
  free: number;
  measurement: Measurement;
  /** Compared with the smallest pool: throughput (as a share of the bare engine's in the same rounds), broker CPU. */
  throughputToSmallest: number;
  cpuToSmallest: number;
}

/** The same storm on one replica in ever larger pools: all of it free, and all but the callers' part leased. */
export async function growth(
  sizes: readonly number[],
  { callers, rounds }: { callers: number; rounds: number },
): Promise<GrowthPoint[]> {
  const points: GrowthPoint[] = [];
  for (const size of sizes) {
    for (const free of size > callers ? [size, callers] : [size]) {
      const name = `${size} sandboxes, ${free} free`;
      const { leases } = await storm(name, { callers, free, leased: size - free, replicas: 1, rounds });
      const smallest = points[0]?.measurement ?? leases;
      points.push({
        sandboxes: size,
        free,
        measurement: leases,
        throughputToSmallest: shareOfRaw(leases) / shareOfRaw(smallest),
        cpuToSmallest: leases.brokerCpuMsPerAllocation / smallest.brokerCpuMsPerAllocation,
      });
    }
  }
  return points;
}

const shareOfRaw = ({ raw, perSecond }: Measurement): number => raw?.throughputRatio ?? perSecond;
