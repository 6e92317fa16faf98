import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Answer } from './load.ts';
import { type Measurement, measureRound, toMeasurement } from './measurement.ts';
import { type Stage, sandboxIds, warmUp, withPool, withReplicas } from './stage.ts';
import { percentile } from './statistics.ts';

/** A pool in which returned sandboxes come back within moments. */
export const QUICK_CLEANUP = { CLEANUP_INTERVAL_SEC: '1', CLEANUP_CONCURRENCY: '20' };
const POOL_SIZE = 2_000;
/** A lab that is turned away asks again after so long. */
const COME_AGAIN_MS = 50;

/** One lab's life: it takes a sandbox, asks for it `replays` more times, and gives it back. */
async function visit({ labs, urlFor }: Stage, lab: number, replays: number) {
  const holder = randomUUID();
  const url = urlFor(lab);
  const asked = [await labs.allocate(url, holder)];
  const sandboxId = asked[0]?.sandboxId;
  if (sandboxId === undefined) {
    await delay(COME_AGAIN_MS);
    return { asked };
  }
  for (let replay = 0; replay < replays; replay++) asked.push(await labs.allocate(url, holder));
  return { asked, marked: await labs.mark(url, sandboxId, holder) };
}

/** Labs that come and go, `concurrency` at a time, until `done`. */
export async function visitUntil(
  stage: Stage,
  { concurrency, replays }: { concurrency: number; replays: number },
  done: (answered: number) => boolean,
): Promise<{ asked: Answer[]; marked: Answer[] }> {
  const asked: Answer[] = [];
  const marked: Answer[] = [];
  let answered = 0;
  const comeAndGo = async (lab: number) => {
    while (!done(answered)) {
      const one = await visit(stage, lab, replays);
      answered += sandboxIds(one.asked).length;
      asked.push(...one.asked);
      if (one.marked) marked.push(one.marked);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, lab) => comeAndGo(lab)));
  return { asked, marked };
}

export interface SustainedResult {
  measurement: Measurement;
  markP50Ms: number;
  markP99Ms: number;
  /** Marks that were not answered with 200. */
  marksFailed: number;
}

/** Allocate → mark → recycle on one replica for some seconds. Its store calls are those of the whole cycle. */
export async function sustained(
  name: string,
  { concurrency, seconds }: { concurrency: number; seconds: number },
): Promise<SustainedResult> {
  return await withPool({ size: POOL_SIZE }, (pool) =>
    withReplicas(
      pool,
      1,
      async (stage) => {
        await warmUp(stage);
        let marks: Answer[] = [];
        const round = await measureRound(stage.replicas, async () => {
          const endMs = performance.now() + seconds * 1000;
          const visits = await visitUntil(
            stage,
            { concurrency, replays: 0 },
            () => performance.now() > endMs,
          );
          marks = visits.marked;
          return visits.asked;
        });
        const latenciesMs = marks.map(({ latencyMs }) => latencyMs);
        return {
          measurement: toMeasurement(name, 1, [round]),
          markP50Ms: percentile(latenciesMs, 0.5),
          markP99Ms: percentile(latenciesMs, 0.99),
          marksFailed: marks.filter(({ status }) => status !== 200).length,
        };
      },
      QUICK_CLEANUP,
    ),
  );
}

export interface MemoryResult {
  restMs: number;
  /** At rest after the first sync, by the pool's size. */
  idle: { sandboxes: number; residentMiB: number }[];
  /** Resident memory after so many answered allocations. */
  after: { allocations: number; residentMiB: number }[];
  /** At rest after all of them. */
  restedMiB: number;
  refused: number;
  errors: number;
}

const residentMiB = async ({ replicas }: Stage): Promise<number> =>
  ((await replicas[0]?.snapshot())?.residentBytes ?? 0) / 2 ** 20;

/** Resident memory after so long without a call: each would show the collector that there is something to do. */
async function residentAtRest(stage: Stage, restMs: number): Promise<number> {
  await delay(restMs);
  return await residentMiB(stage);
}

/** One replica's resident memory after the first sync of a large pool. */
async function idleWith(sandboxes: number, restMs: number): Promise<MemoryResult['idle'][number]> {
  const measure = async (stage: Stage) => ({ sandboxes, residentMiB: await residentAtRest(stage, restMs) });
  return await withPool({ size: sandboxes }, (pool) => withReplicas(pool, 1, measure));
}

/** One replica's resident memory at rest, and over very many allocations: of four, one is new and three are replays. */
export async function memory({
  allocations,
  samples,
  concurrency,
  large,
  restMs,
}: {
  allocations: number;
  samples: number;
  concurrency: number;
  /** Sandboxes in the pool that is only synced. */
  large: number;
  /** How long a replica is left alone before it is measured at rest; at least half a minute tells what it can give back. */
  restMs: number;
}): Promise<MemoryResult> {
  const ofLarge = await idleWith(large, restMs);
  return await withPool({ size: POOL_SIZE }, (pool) =>
    withReplicas(
      pool,
      1,
      async (stage) => {
        const idle = [{ sandboxes: POOL_SIZE, residentMiB: await residentAtRest(stage, restMs) }, ofLarge];
        const result: MemoryResult = { restMs, idle, after: [], restedMiB: 0, refused: 0, errors: 0 };
        let answered = 0;
        for (let sample = 1; sample <= samples; sample++) {
          const wanted = Math.ceil((allocations * sample) / samples) - answered;
          const round = await measureRound(stage.replicas, async () => {
            const visits = await visitUntil(stage, { concurrency, replays: 3 }, (had) => had >= wanted);
            return visits.asked;
          });
          answered += round.answered;
          result.refused += round.refused;
          result.errors += round.errors;
          result.after.push({ allocations: answered, residentMiB: await residentMiB(stage) });
        }
        result.restedMiB = await residentAtRest(stage, restMs);
        return result;
      },
      QUICK_CLEANUP,
    ),
  );
}
