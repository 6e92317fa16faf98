import { randomUUID } from 'node:crypto';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { type Counts, composeCounts } from '../../src/compose/counts.ts';
import { createPoolDifferences } from '../../src/live/pool-differences.ts';
import type { SandboxChange } from '../../src/store/sandboxes/watched-sandboxes.ts';
import { context, createFakeClock, startCore, type TestCore } from '../support/broker/core.ts';
import { lease, mark } from '../support/broker/csp-core.ts';
import { describeOnEngines } from '../support/store/engines.ts';

describeOnEngines('the numbers after a hand on one sandbox', ({ endpoint }) => {
  interface Replica {
    core: TestCore;
    counts: Counts;
    /** Counts made so far. */
    made: () => number;
    /** Runs once, in the middle of the next count. */
    meanwhile: (doIt: () => Promise<unknown>) => void;
    release: (sandboxId: string) => Promise<unknown>;
    numbers: () => Promise<unknown>;
  }

  async function startReplica(first?: TestCore): Promise<Replica> {
    let changes = 0;
    let made = 0;
    let meanwhile: (() => Promise<unknown>) | undefined;
    const clock = first?.clock ?? createFakeClock();
    const own = createPoolDifferences(clock);
    const options = {
      buckets: 4,
      clock,
      onSandboxChange: ({ seen, next }: SandboxChange) => {
        changes++;
        own.note(seen?.status, next.status);
      },
    };
    const core: TestCore = await (first
      ? first.replica(options)
      : startCore(endpoint, { poolSize: 6, ...options }));
    const counts = composeCounts({
      work: {
        async count(signal, consistent) {
          made++;
          const taken = await core.work.count(signal, consistent);
          const doIt = meanwhile;
          meanwhile = undefined;
          await doIt?.();
          return taken;
        },
      },
      client: core.client,
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
    onTestFinished(async () => {
      await counts.stop();
      core.close();
    });
    const release = counts.added((sandboxId: string) =>
      core.useCases.releaseSandbox(sandboxId, context('admin')),
    );
    return {
      core,
      counts,
      made: () => made,
      meanwhile: (doIt) => {
        meanwhile = doIt;
      },
      release,
      numbers: async () => (await counts.latest(AbortSignal.timeout(10_000)))?.counts,
    };
  }

  let one: Replica;
  let two: Replica;
  beforeEach(async () => {
    one = await startReplica();
    two = await startReplica(one.core);
    await one.counts.count(AbortSignal.timeout(10_000));
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
    await two.counts.count(AbortSignal.timeout(10_000));
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
    await one.counts.count(AbortSignal.timeout(10_000));
    two.meanwhile(() => one.release(sandboxId));
    await two.counts.count(AbortSignal.timeout(10_000));
    expect(two.made()).toBe(2);
    expect([await one.numbers(), await two.numbers()]).toEqual([pool(5, 0, 1), pool(5, 0, 1)]);
  });

  it('have what this replica did while it was counting, once', async () => {
    one.meanwhile(() => lease(one.core, 'anna'));
    await one.counts.count(AbortSignal.timeout(10_000));
    expect(await one.numbers()).toEqual(pool(5, 1, 0));
  });
});
