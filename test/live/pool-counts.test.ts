import { randomUUID } from 'node:crypto';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import type { PoolCounts } from '../../src/domain/pool-counts.ts';
import { type Counts, createPoolCounts } from '../../src/live/pool-counts.ts';
import { createPoolDifferences } from '../../src/live/pool-differences.ts';
import type { SandboxChange } from '../../src/store/sandboxes/watched-sandboxes.ts';
import { context, createFakeClock, startCore, type TestCore } from '../support/broker/core.ts';
import { lease, mark } from '../support/broker/csp-core.ts';
import { describeOnEngines } from '../support/store/engines.ts';

const LATER_SECONDS = 400;

describeOnEngines('the numbers after a hand on one sandbox', ({ endpoint }) => {
  interface Replica {
    core: TestCore;
    counts: Counts;
    /** Counts made so far. */
    made: () => number;
    /** A count, long after the last one. */
    countLater: () => Promise<void>;
    /** Runs once, in the middle of the next count. */
    meanwhile: (doIt: () => Promise<unknown>) => void;
    release: (sandboxId: string) => Promise<unknown>;
    numbers: () => Promise<unknown>;
  }

  async function startReplica(first?: TestCore): Promise<Replica> {
    let changes = 0;
    let made = 0;
    let meanwhile: (() => Promise<unknown>) | undefined;
    const interrupt = async () => {
      const doIt = meanwhile;
      meanwhile = undefined;
      await doIt?.();
    };
    let counts: Counts | undefined;
    const clock = first?.clock ?? createFakeClock();
    const own = createPoolDifferences(clock);
    const options = {
      buckets: 4,
      clock,
      survey: () => {
        const tell = counts?.survey();
        return async (found: PoolCounts['counts']) => {
          await interrupt();
          await tell?.(found);
        };
      },
      onSandboxChange: ({ seen, next }: SandboxChange) => {
        changes++;
        own.note(seen?.status, next.status);
      },
    };
    const core: TestCore = await (first
      ? first.replica(options)
      : startCore(endpoint, { poolSize: 6, ...options }));
    const numbers = createPoolCounts({
      async count(signal, how) {
        made++;
        const taken = await core.work.count(signal, how);
        await interrupt();
        return taken;
      },
      client: core.client,
      clock,
      intervalMs: 300_000,
      metrics: { setPoolCounts: () => undefined },
      changes: () => changes,
      own,
      newId: randomUUID,
      isStocked: () => true,
      watchPool: async () => undefined,
      onTurn: () => undefined,
      onError: (error) => {
        throw error;
      },
    });
    counts = numbers;
    onTestFinished(async () => {
      await numbers.stop();
      core.close();
    });
    const release = numbers.added((sandboxId: string) =>
      core.useCases.releaseSandbox(sandboxId, context('admin')),
    );
    return {
      core,
      counts: numbers,
      made: () => made,
      async countLater() {
        clock.advanceSeconds(LATER_SECONDS);
        await numbers.countIfDue(AbortSignal.timeout(10_000));
      },
      meanwhile: (doIt) => {
        meanwhile = doIt;
      },
      release,
      numbers: async () => (await numbers.latest(AbortSignal.timeout(10_000)))?.counts,
    };
  }

  let one: Replica;
  let two: Replica;
  beforeEach(async () => {
    one = await startReplica();
    two = await startReplica(one.core);
    await one.countLater();
  });

  const pool = (available: number, allocated: number, pending: number) =>
    expect.objectContaining({ available, allocated, pending_deletion: pending });

  it('have it, whichever replica is asked, and nothing is counted for it', async () => {
    const { sandboxId: first } = await lease(one.core, 'anna');
    const { sandboxId: second } = await lease(one.core, 'berta');
    expect(await one.numbers()).toEqual(pool(4, 2, 0));
    await mark(one.core, 'anna', first);
    expect(await one.numbers()).toEqual(pool(4, 1, 1));
    await one.release(second);
    expect(await two.numbers()).toEqual(pool(4, 0, 2));
    expect(await one.numbers()).toEqual(pool(4, 0, 2));
    expect([one.made(), two.made()]).toEqual([1, 0]);
    await two.countLater();
    expect([await one.numbers(), await two.numbers()]).toEqual([pool(4, 0, 2), pool(4, 0, 2)]);
  });

  it('have it once, however many hands there are at once', async () => {
    const leases = await Promise.all(['a', 'b', 'c', 'd'].map((holder) => lease(one.core, holder)));
    await Promise.all(leases.map(({ sandboxId }, number) => (number % 2 ? one : two).release(sandboxId)));
    await one.numbers();
    expect([await one.numbers(), await two.numbers()]).toEqual([pool(2, 0, 4), pool(2, 0, 4)]);
  });

  it('have it while another replica is counting, too', async () => {
    const { sandboxId } = await lease(one.core, 'anna');
    await one.countLater();
    two.meanwhile(() => one.release(sandboxId));
    await two.countLater();
    expect(two.made()).toBe(2);
    expect([await one.numbers(), await two.numbers()]).toEqual([pool(5, 0, 1), pool(5, 0, 1)]);
  });

  it('have what this replica did while it was counting, once', async () => {
    one.meanwhile(() => lease(one.core, 'anna'));
    await one.countLater();
    expect(await one.numbers()).toEqual(pool(5, 1, 0));
  });

  const beat = ({ counts }: Replica) => counts.beat(AbortSignal.timeout(10_000));

  it('are told to the others with a beat, for one write, and nothing is written where nothing has changed', async () => {
    await lease(one.core, 'anna');
    await lease(one.core, 'berta');
    for (const replica of [one, two]) replica.core.calls.clear();
    for (const replica of [one, two, one, two]) await beat(replica);
    const callsOf = ({ core }: Replica) =>
      ['GetItem', 'UpdateItem', 'PutItem'].map((operation) => core.calls.count(operation));
    expect([callsOf(one), callsOf(two)]).toEqual([
      [2, 1, 0],
      [2, 0, 0],
    ]);
    expect(two.counts.last()?.counts).toEqual(pool(4, 2, 0));
  });

  it('are counted again only where nobody has for a while, or something has changed', async () => {
    const due = async (seconds: number) => {
      one.core.clock.advanceSeconds(seconds);
      await one.counts.countIfDue(AbortSignal.timeout(10_000));
      return [one.made(), one.counts.countAgainMs()];
    };
    expect(await due(100)).toEqual([1, undefined]);
    expect(await due(300)).toEqual([2, undefined]);
    await lease(two.core, 'anna');
    expect(await due(1)).toEqual([2, undefined]);
    await beat(two);
    expect(await due(1)).toEqual([3, 30_000]);
    expect(await due(30)).toEqual([3, undefined]);
    expect(await one.numbers()).toEqual(pool(5, 1, 0));
  });

  it('leave out what a count has in it by the time that it is told', async () => {
    await lease(two.core, 'anna');
    await one.countLater();
    await beat(two);
    expect([await one.numbers(), await two.numbers()]).toEqual([pool(5, 1, 0), pool(5, 1, 0)]);
    await lease(two.core, 'berta');
    await one.countLater();
    one.core.clock.advanceSeconds(1);
    await lease(two.core, 'clara');
    await two.release((await lease(two.core, 'dora')).sandboxId);
    expect([await one.numbers(), await two.numbers()]).toEqual([pool(2, 3, 1), pool(2, 3, 1)]);
  });

  it('are right again after a replica that died before it had told what it did', async () => {
    for (const holder of ['a', 'b', 'c', 'd', 'e', 'f']) await lease(two.core, holder);
    const [sandbox] = (await one.core.useCases.listSandboxes({ status: 'allocated', limit: 1 }, context()))
      .sandboxes;
    await one.release(sandbox?.id ?? '');
    await expect.poll(one.numbers).toEqual(pool(0, 5, 1));
    expect(one.made()).toBe(2);
  });

  it('are counted by a sync in passing, unless somebody is at work meanwhile', async () => {
    const sync = async () => {
      await one.core.work.sync({ force: false }, context());
      await one.counts.beat(AbortSignal.timeout(10_000));
      return one.counts.last()?.counts;
    };
    // Of two that are lost no count can tell.
    for (const holder of ['anna', 'berta']) await lease(two.core, holder);
    expect(await one.numbers()).toEqual(pool(6, 0, 0));
    expect(await sync()).toEqual(pool(4, 2, 0));
    expect(one.made()).toBe(1);
    await lease(two.core, 'clara');
    one.meanwhile(() => lease(one.core, 'dora'));
    expect(await sync()).toEqual(pool(3, 3, 0));
  });
});
