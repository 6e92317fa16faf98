import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { DEVELOPMENT_TOKENS } from '../../../src/config/variables.ts';
import { createStoreClient } from '../../../src/store/dynamo/client.ts';
import { readHistory } from '../../../src/store/sandboxes/events.ts';
import { until } from '../../support/until.ts';
import { type Answer, inParallel } from '../load.ts';
import { LOCAL } from '../pool.ts';
import { type Snapshot, snapshotAll, untilBeaten } from '../replica.ts';
import { type Stage, withPool, withReplicas } from '../stage.ts';
import { percentile, sum } from '../statistics.ts';
import type { Crowd, LineCost, LineResults, TurnTimes } from './report.ts';

const WAIT_SECONDS = 60;
/** Each call of those who go on waiting. */
const CALL_SECONDS = 10;
const CALLERS = 100;
/** Far more than the head of the line that is looked at, and than any training has. */
const CROWD = 3_000;
/** Of its key and its place: what the replica does for itself at that moment is of other kinds. */
const OF_A_JOIN = ['GetItem', 'TransactWriteItems'];
const READS = ['GetItem', 'Query', 'BatchGetItem'];
const WRITES = ['PutItem', 'UpdateItem', 'DeleteItem', 'TransactWriteItems'];

/** What waiting in line takes and costs. `quick`: less of everything. */
export async function measureLine({ quick }: { quick: boolean }): Promise<LineResults> {
  const turns = quick ? 20 : 100;
  const turnTimes: TurnTimes[] = [];
  for (const replicas of quick ? [2] : [1, 2, 4]) turnTimes.push(await timesToAnswer(replicas, turns));
  return {
    takenAt: new Date().toISOString(),
    turnTimes,
    cost: await costOfWaiting(quick ? 5_000 : 30_000),
    crowd: await crowdOfWaiting(quick ? 300 : CROWD),
  };
}

/** `work` with so many replicas, and everything in the pool leased to `holder-0` onwards. */
const withFullPool = <T>(size: number, replicas: number, work: (stage: Stage, ids: string[]) => Promise<T>) =>
  withPool({ size }, (pool) =>
    withReplicas(pool, replicas, async (stage) => {
      const holders = Array.from({ length: size }, (_, index) => `holder-${index}`);
      const taken = await inParallel(holders, 16, (holder) => stage.labs.allocate(stage.urlFor(0), holder));
      if (replicas > 1) await untilBeaten(stage.replicas, 2);
      return await work(
        stage,
        taken.map(({ sandboxId = '' }) => sandboxId),
      );
    }),
  );

const clean = async (url: string): Promise<void> => {
  const headers = { authorization: `Bearer ${DEVELOPMENT_TOKENS.admin}` };
  const { body } = await request(`${url}/v1/admin/cleanup`, { method: 'POST', headers });
  await body.dump();
};

/** From the moment that is written on a lease that a waiting caller got to its answer, over so many turns. */
async function timesToAnswer(replicas: number, turns: number): Promise<TurnTimes> {
  return await withFullPool(1, replicas, async ({ labs, urlFor, pool }, [only = '']) => {
    const client = createStoreClient({ ...LOCAL, endpoint: pool.endpoint, table: pool.table });
    const timesMs: number[] = [];
    let holder = 'holder-0';
    for (let turn = 0; turn < turns; turn++) {
      const next = randomUUID();
      const answered = labs
        .allocate(urlFor(turn), next, WAIT_SECONDS)
        .then((answer) => ({ answer, atMs: Date.now() }));
      // Nothing begins with the waiting replica's looks.
      await delay(700 + Math.random() * 600);
      const cleaner = urlFor(Math.floor(Math.random() * replicas));
      await labs.mark(cleaner, only, holder);
      await clean(cleaner);
      const { answer, atMs } = await answered;
      if (answer.status !== 201) throw new Error(`a turn was answered with ${answer.status}`);
      const granted = (await readHistory(client, only, 1)).find(({ action }) => action === 'allocate');
      timesMs.push(atMs - (granted?.atMs ?? 0));
      holder = next;
    }
    client.close();
    return { replicas, turns, p50Ms: percentile(timesMs, 0.5), p99Ms: percentile(timesMs, 0.99) };
  });
}

const callsBetween = (before: Snapshot, after: Snapshot, operations: readonly string[]): number =>
  sum(
    Object.entries(after.storeCalls)
      .filter(([operation]) => operations.includes(operation))
      .map(([operation, calls]) => calls - (before.storeCalls[operation] ?? 0)),
  );

/** What 100 callers on one replica cost who go on waiting, and what joining costs. */
async function costOfWaiting(windowMs: number): Promise<LineCost> {
  return await withFullPool(20, 1, async ({ labs, urlFor, replicas }) => {
    const during = async (work: () => Promise<unknown>) => {
      const before = await snapshotAll(replicas);
      const startedMs = performance.now();
      await work();
      return { before, after: await snapshotAll(replicas), seconds: (performance.now() - startedMs) / 1000 };
    };
    let isOver = false;
    const callers: Promise<void>[] = [];
    const joining = await during(async () => {
      for (let caller = 0; caller < CALLERS; caller++) {
        const holder = `waits-${caller}`;
        callers.push(
          (async () => {
            while (!isOver) await labs.allocate(urlFor(0), holder, CALL_SECONDS);
          })(),
        );
        await delay(5);
      }
    });
    // From the second call on.
    await delay(CALL_SECONDS * 1000);
    const waiting = await during(() => delay(windowMs));
    isOver = true;
    await Promise.all(callers);
    return {
      callers: CALLERS,
      joinCalls: callsBetween(joining.before, joining.after, OF_A_JOIN) / CALLERS,
      readsPerSecond: callsBetween(waiting.before, waiting.after, READS) / waiting.seconds,
      writesPerSecond: callsBetween(waiting.before, waiting.after, WRITES) / waiting.seconds,
    };
  });
}

/** So many calls that wait on one replica: what others see of them, and what becomes of them when it is told to stop. */
async function crowdOfWaiting(callers: number): Promise<Crowd> {
  return await withFullPool(20, 1, async ({ labs, urlFor, replicas: [replica] }) => {
    if (!replica) throw new RangeError('no replica');
    const others = async () => {
      const latenciesMs: number[] = [];
      for (let call = 0; call < 200; call++) {
        latenciesMs.push((await labs.allocate(urlFor(0), `holder-${call % 20}`)).latencyMs);
        await delay(10);
      }
      return { p50Ms: percentile(latenciesMs, 0.5), p99Ms: percentile(latenciesMs, 0.99) };
    };
    const alone = await others();
    const aloneMiB = (await replica.snapshot()).residentBytes / 2 ** 20;
    const calls = Array.from({ length: callers }, (_, caller) =>
      labs.allocate(urlFor(0), `crowd-${caller}`, WAIT_SECONDS),
    );
    await until(async () => (await lineLength(replica.url)) === callers, {
      timeoutMs: 60_000,
      what: 'the crowd',
    });
    const beside = await others();
    const besideMiB = (await replica.snapshot()).residentBytes / 2 ** 20;
    const told = Promise.all(
      calls.map(
        async (call): Promise<Answer & { atMs: number }> => ({ ...(await call), atMs: performance.now() }),
      ),
    );
    const stoppedMs = performance.now();
    const [answers] = await Promise.all([told, replica.stop()]);
    return {
      callers,
      alone,
      beside,
      aloneMiB,
      besideMiB,
      toldWaiting: answers.filter(({ status }) => status === 202).length,
      lastToldMs: Math.max(...answers.map(({ atMs }) => atMs)) - stoppedMs,
    };
  });
}

async function lineLength(url: string): Promise<number> {
  const { body } = await request(`${url}/metrics`);
  return Number(/^broker_line_length (\S+)$/m.exec(await body.text())?.[1]);
}
