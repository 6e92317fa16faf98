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
  idleMiB: number;
  /** Resident memory after so many answered allocations. */
  after: { allocations: number; residentMiB: number }[];
  refused: number;
  errors: number;
}

/** One replica's resident memory over very many allocations: of four, one is new and three are replays. */
export async function memory({
  allocations,
  samples,
  concurrency,
}: {
  allocations: number;
  samples: number;
  concurrency: number;
}): Promise<MemoryResult> {
  return await withPool({ size: POOL_SIZE }, (pool) =>
    withReplicas(
      pool,
      1,
      async (stage) => {
        const residentMiB = async () => ((await stage.replicas[0]?.snapshot())?.residentBytes ?? 0) / 2 ** 20;
        const result: MemoryResult = { idleMiB: await residentMiB(), after: [], refused: 0, errors: 0 };
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
          result.after.push({ allocations: answered, residentMiB: await residentMiB() });
        }
        return result;
      },
      QUICK_CLEANUP,
    ),
  );
}
