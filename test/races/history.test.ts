import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { createSimulatedProvider } from '../../src/provider/simulated.ts';
import { createFakeClock, startCore, type TestCore, uniqueTable } from '../support/broker/core.ts';
import { checkHistory } from '../support/history/check-history.ts';
import type { ProviderDelete } from '../support/history/history.ts';
import { readEnd } from '../support/history/read-end.ts';
import { type RecordedCore, recordCore, recordDeletes } from '../support/history/recorded-core.ts';
import { createRecorder } from '../support/history/recorder.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { describeOnEngines } from '../support/store/engines.ts';
import { startFaultProxy } from '../support/store/fault-proxy.ts';

const TERMS = { leaseSeconds: 3_600, maxLeaseSeconds: 3_600, bufferSeconds: 600 };
const TERM_MS = (TERMS.leaseSeconds + TERMS.bufferSeconds) * 1000;
const COMMITS = /x-amz-target: *DynamoDB_20120810\.TransactWriteItems/i;
/** One replica is that far from the store: what others do in between is what it is late for. */
const FAR_MS = 15;
const SEED = 7_031;

describeOnEngines(
  'a storm over replicas near and far, whose whole history is judged',
  ({ name, endpoint }) => {
    const [callers, lives] = name === 'dynoxide' ? [24, 8] : [8, 5];

    test('breaks no promise, with keys repeated, marks, cleanups, and answers that are lost', async () => {
      const table = uniqueTable();
      const clock = createFakeClock();
      const recorder = createRecorder({ now: () => performance.now() });
      const deletes: ProviderDelete[] = [];
      const pool = Math.ceil(callers / 3);
      const provider = recordDeletes(createSimulatedProvider({ poolSize: pool }), deletes, recorder.now);
      const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
      onTestFinished(() => proxy.close());
      const start = async (at: string): Promise<TestCore> => {
        const core = await startCore(at, { table, clock, provider, terms: TERMS, buckets: 4 });
        onTestFinished(async () => core.close());
        return core;
      };
      const near = await start(endpoint);
      const far = await start(proxy.endpoint);
      const replicas = [near, await start(endpoint), far].map((core) => recordCore(core, recorder));
      await replicas[0]?.run('sync');
      await proxy.behave({ kind: 'delay', delayMs: FAR_MS });

      let storming = true;
      const random = seededRandom(SEED);
      const cleaning = cleanAllTheTime(replicas, () => storming);
      const losing = loseAnswers(proxy, () => storming);
      await Promise.all(
        Array.from({ length: callers }, (_, caller) =>
          // Two callers under each key, neither of whom knows of the other.
          call(`holder-${Math.floor(caller / 2)}`, replicas, lives, random.fork()),
        ),
      );
      storming = false;
      await Promise.all([cleaning, losing]);

      // What was forgotten runs out, and everything is clean in the end.
      clock.advanceSeconds(TERM_MS / 1000);
      await replicas[0]?.run('expire');
      await replicas[1]?.run('cleanup');
      const end = await readEnd(near.client);
      expect(
        checkHistory({
          ...end,
          calls: recorder.calls,
          asOfMs: clock.nowMs(),
          termMs: TERM_MS,
          expectedIds: [...(await provider.listSandboxes(AbortSignal.timeout(1_000))).items.ids()],
          deletes,
        }),
        `seed ${SEED}`,
      ).toEqual([]);
      expect(end.sandboxes.map(({ status }) => status)).toEqual(Array(pool).fill('available'));
      // It was a storm.
      const actions = new Set(end.events.map(({ action }) => action));
      expect([...actions].sort()).toEqual(
        expect.arrayContaining(['allocate', 'cleanup_recycled', 'mark_for_deletion', 'release']),
      );
      const outcomes = new Set(recorder.calls.map(({ outcome }) => outcome.type));
      expect([...outcomes]).toEqual(expect.arrayContaining(['leased', 'none_free', 'done']));
      expect(proxy.swallowedResponses).toBeGreaterThan(0);
    });
  },
);

/** Takes and gives back, so many times, at any replica. */
async function call(
  holder: string,
  replicas: readonly RecordedCore[],
  lives: number,
  random: ReturnType<typeof seededRandom>,
): Promise<void> {
  for (let life = 0; life < lives; life++) {
    const outcome = await random.pick(replicas).allocate({ holder });
    if (outcome.type !== 'leased') continue;
    if (random.chance(0.3)) await random.pick(replicas).allocate({ holder });
    const end = random.next();
    if (end < 0.7) await random.pick(replicas).mark(holder, outcome.sandboxId);
    else if (end < 0.85) await random.pick(replicas).release(outcome.sandboxId);
  }
}

async function cleanAllTheTime(replicas: readonly RecordedCore[], goOn: () => boolean): Promise<void> {
  for (let turn = 0; goOn(); turn++) {
    // Two at once: turns only save work, and claims must do without.
    await Promise.all([0, 1].map((next) => replicas[(turn + next) % replicas.length]?.run('cleanup')));
    await delay(FAR_MS);
  }
}

async function loseAnswers(
  proxy: { swallowResponses(count: number, matching: RegExp): void },
  goOn: () => boolean,
): Promise<void> {
  while (goOn()) {
    proxy.swallowResponses(1, COMMITS);
    await delay(FAR_MS * 4);
  }
  proxy.swallowResponses(0, COMMITS);
}
