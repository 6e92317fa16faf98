import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { poolLevel } from '../../src/domain/inventory.ts';
import { toPoolCounts } from '../../src/domain/pool-counts.ts';
import { watchPool } from '../../src/live/pool-watch.ts';
import { createPoolLevels, type PoolLevels } from '../../src/store/shared/pool-level.ts';
import type { Alert } from '../../src/usecases/alert.ts';
import { allocate, coreOfTest, mark, replicaOfTest } from '../support/broker/csp-core.ts';
import { describeOnEngines } from '../support/store/engines.ts';
import { injectFaults, loseAnswer } from '../support/store/injected-faults.ts';

test('a pool is low below the watermark, and empty without a free sandbox', () => {
  const levels = [0, 1, 2, 3].map((available) => poolLevel(available, 3));
  expect(levels).toEqual(['empty', 'low', 'low', 'ok']);
  expect([0, 1].map((available) => poolLevel(available, 0))).toEqual(['empty', 'ok']);
});

describeOnEngines('the watch on the pool', ({ endpoint }) => {
  /** Two replicas on one table, one counting after the other. */
  async function start(lowWatermark: number) {
    const core = await coreOfTest(endpoint);
    const other = await replicaOfTest(core);
    const alerts: Alert[] = [];
    let asOfMs = 0;
    const watches = [core, other].map(({ client }) =>
      watchPool({
        levels: createPoolLevels(client, randomUUID),
        lowWatermark,
        alert: (alert) => alerts.push(alert),
      }),
    );
    /** What was raised when replica `which` counted so many. */
    async function count(available: number, { allocated = 5, which = 0, ageMs = -1_000 } = {}) {
      asOfMs = Math.max(asOfMs, asOfMs - ageMs);
      const counts = {
        available,
        allocated,
        pending_deletion: 0,
        deletion_failed: 0,
        stale: 0,
        cooling: 0,
        quarantined: 0,
      };
      await watches[which]?.(toPoolCounts(counts, ageMs > 0 ? asOfMs - ageMs : asOfMs));
      return alerts.splice(0).map(({ reason, severity }) => `${reason} ${severity}`);
    }
    return { core, count, watches, alerts };
  }

  test('says once that the pool is empty, and once that it is not any more', async () => {
    const { count } = await start(0);
    expect(await count(3)).toEqual([]);
    expect(await count(0)).toEqual(['pool_empty error']);
    expect(await count(0)).toEqual([]);
    expect(await count(1)).toEqual(['pool_recovered info']);
    expect(await count(2)).toEqual([]);
    expect(await count(0)).toEqual(['pool_empty error']);
  });

  test('says when the watermark is crossed, down and up', async () => {
    const { count } = await start(3);
    expect(await count(3)).toEqual([]);
    expect(await count(2)).toEqual(['pool_low warning']);
    expect(await count(1)).toEqual([]);
    expect(await count(0)).toEqual(['pool_empty error']);
    expect(await count(1)).toEqual(['pool_low warning']);
    expect(await count(3)).toEqual(['pool_recovered info']);
  });

  test('says it once, whichever replica counts', async () => {
    const { count } = await start(0);
    expect(await count(3, { which: 0 })).toEqual([]);
    expect(await count(0, { which: 1 })).toEqual(['pool_empty error']);
    expect(await count(0, { which: 0 })).toEqual([]);
    expect(await count(0, { which: 1 })).toEqual([]);
    expect(await count(4, { which: 0 })).toEqual(['pool_recovered info']);
  });

  test('says it once when all replicas count at the same moment', async () => {
    const { watches, alerts, count } = await start(0);
    await count(5);
    const counts = {
      available: 0,
      allocated: 5,
      pending_deletion: 0,
      deletion_failed: 0,
      stale: 0,
      cooling: 0,
      quarantined: 0,
    };
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => watches[n % 2]?.(toPoolCounts(counts, 1_000_000 + n))),
    );
    expect(alerts.map(({ reason }) => reason)).toEqual(['pool_empty']);
  });

  test('dates what it says by the counts, whoever is told first of its note', async () => {
    const { core, alerts } = await start(0);
    const levels = createPoolLevels(core.client, randomUUID);
    const late = Promise.withResolvers<void>();
    const noted = Promise.withResolvers<void>();
    const slowly: PoolLevels = {
      note: async (...args) => {
        const before = await levels.note(...args);
        noted.resolve();
        await late.promise;
        return before;
      },
    };
    const [one, two] = [slowly, levels].map((each) =>
      watchPool({ levels: each, lowWatermark: 0, alert: (alert) => alerts.push(alert) }),
    );
    const counted = (available: number, asOfMs: number) =>
      toPoolCounts(
        {
          available,
          allocated: 5,
          pending_deletion: 0,
          deletion_failed: 0,
          stale: 0,
          cooling: 0,
          quarantined: 0,
        },
        asOfMs,
      );
    const slow = one?.(counted(0, 1_000));
    await noted.promise;
    await two?.(counted(3, 2_000));
    late.resolve();
    await slow;
    expect(alerts.map(({ reason, atMs }) => [reason, atMs])).toEqual([
      ['pool_recovered', 2_000],
      ['pool_empty', 1_000],
    ]);
  });

  test('does not believe a count that comes late', async () => {
    const { count } = await start(0);
    await count(3);
    await count(3);
    expect(await count(0, { ageMs: 500 })).toEqual([]);
    expect(await count(0)).toEqual(['pool_empty error']);
  });

  test('says it from the first count on, of a pool without any sandbox, too', async () => {
    const { count } = await start(2);
    expect(await count(0, { allocated: 0 })).toEqual(['pool_empty error']);
    expect(await count(20, { allocated: 0 })).toEqual(['pool_recovered info']);
    const started = await start(2);
    expect(await started.count(1)).toEqual(['pool_low warning']);
  });

  test('says it although the answer to its note was lost', async () => {
    const { core, count } = await start(0);
    await count(3);
    injectFaults(core.client).next('UpdateItem', loseAnswer);
    expect(await count(0)).toEqual(['pool_empty error']);
    expect(await count(0)).toEqual([]);
  });

  test('sees what the broker itself counts', async () => {
    const core = await coreOfTest(endpoint, { poolSize: 2 });
    const alerts: Alert[] = [];
    const watch = watchPool({
      levels: createPoolLevels(core.client, randomUUID),
      lowWatermark: 2,
      alert: (alert) => alerts.push(alert),
    });
    const count = async () => {
      core.clock.advanceSeconds(15);
      await watch(await core.work.count(AbortSignal.timeout(10_000)));
    };
    await count();
    for (const holder of ['a', 'b']) {
      const { lease } = await allocate(core, holder);
      await mark(core, holder, lease.sandboxId);
      await count();
    }
    await core.work.cleanup({
      actor: 'background_cleanup',
      requestId: 'r',
      correlationId: 'c',
      signal: new AbortController().signal,
    });
    await count();
    expect(alerts.map(({ atMs: _, ...alert }) => alert)).toEqual([
      {
        task: 'pool',
        reason: 'pool_low',
        severity: 'warning',
        context: { available: 1, total: 2, low_watermark: 2, was: 'ok' },
      },
      {
        task: 'pool',
        reason: 'pool_empty',
        severity: 'error',
        context: { available: 0, total: 2, low_watermark: 2, was: 'low' },
      },
      {
        task: 'pool',
        reason: 'pool_recovered',
        severity: 'info',
        context: { available: 2, total: 2, low_watermark: 2, was: 'empty' },
      },
    ]);
  });
});
