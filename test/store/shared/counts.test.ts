import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toPoolCounts } from '../../../src/domain/pool-counts.ts';
import { COUNTS_KEY } from '../../../src/store/sandboxes/keys.ts';
import { addDifferences, readCounts, writeCounts } from '../../../src/store/shared/counts.ts';
import { startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { duplicate, injectFaults, loseAnswer } from '../../support/store/injected-faults.ts';

describeOnEngines('the published counts', ({ endpoint }) => {
  let core: TestCore;
  let faults: ReturnType<typeof injectFaults>;
  beforeAll(async () => {
    core = await startCore(endpoint, { poolSize: 5 });
    faults = injectFaults(core.client);
  });
  afterAll(() => core.close());

  const countsOf = (available: number, asOfMs: number) =>
    toPoolCounts(
      {
        available,
        allocated: 1,
        pending_deletion: 2,
        deletion_failed: 3,
        stale: 4,
        cooling: 0,
        quarantined: 0,
      },
      asOfMs,
    );

  test('are unknown before the first count', async () => {
    expect(await readCounts(core.client)).toBeUndefined();
  });

  test('are what was counted last, whatever the order in which counts are written', async () => {
    await writeCounts(core.client, countsOf(10, 1_000));
    await writeCounts(core.client, countsOf(30, 3_000));
    await writeCounts(core.client, countsOf(20, 2_000));
    expect(await readCounts(core.client)).toEqual({
      counts: {
        available: 30,
        allocated: 1,
        pending_deletion: 2,
        deletion_failed: 3,
        stale: 4,
        cooling: 0,
        quarantined: 0,
      },
      total: 40,
      asOfMs: 3_000,
      additions: 0,
    });
  });

  test('survive an answer that was lost and a write that came twice', async () => {
    faults.next('PutItem', loseAnswer);
    await writeCounts(core.client, countsOf(40, 4_000));
    faults.next('PutItem', duplicate);
    await writeCounts(core.client, countsOf(50, 5_000));
    expect(await readCounts(core.client)).toMatchObject({ total: 60, asOfMs: 5_000 });
  });

  test('grow by what is added to them, once, and are not written over by who has not seen it', async () => {
    const before = await readCounts(core.client);
    faults.next('UpdateItem', loseAnswer);
    const added = await addDifferences(
      core.client,
      { by: { available: -1, allocated: 1 }, asOfMs: 5_000, nowMs: 5_500 },
      randomUUID,
    );
    faults.next('UpdateItem', duplicate);
    await addDifferences(
      core.client,
      { by: { available: -1, pending_deletion: 1 }, asOfMs: 5_000, nowMs: 5_500 },
      randomUUID,
    );
    expect(added).toMatchObject({
      isAdded: true,
      counts: { counts: { available: 49, allocated: 2 }, additions: 1, addedAtMs: 5_500 },
    });
    const after = { counts: { available: 48, allocated: 2, pending_deletion: 3 }, total: before?.total };
    expect(await readCounts(core.client)).toMatchObject(after);
    expect(await writeCounts(core.client, countsOf(50, 6_000))).toBe(false);
    expect(await readCounts(core.client)).toMatchObject(after);
    expect(await writeCounts(core.client, { ...countsOf(50, 6_000), additions: 2 })).toBe(true);
  });

  test('take nothing that is about earlier ones, and say which they are', async () => {
    const before = await readCounts(core.client);
    const late = { by: { available: -1 }, asOfMs: 5_000, nowMs: 5_500 };
    expect(await addDifferences(core.client, late, randomUUID)).toEqual({ isAdded: false, counts: before });
    expect(await readCounts(core.client)).toEqual(before);
  });

  test('are an error, not a zero, when the record was bent by hand', async () => {
    await core.client.put({ Item: { ...COUNTS_KEY, counts: { available: 'many' }, as_of_ms: 9_000 } });
    await expect(readCounts(core.client)).rejects.toThrow(/available/);
  });

  test('are those of the pool, by status', async () => {
    const { lease } = await core.useCases.allocateSandbox(
      { principal: 'track', holder: 'h' },
      { actor: 'track', requestId: 'r', correlationId: 'c', signal: new AbortController().signal },
    );
    expect(await core.work.count(AbortSignal.timeout(10_000))).toEqual({
      counts: {
        available: 4,
        allocated: 1,
        pending_deletion: 0,
        deletion_failed: 0,
        stale: 0,
        cooling: 0,
        quarantined: 0,
      },
      total: 5,
      asOfMs: core.clock.nowMs(),
    });
    expect(lease.sandboxId).toMatch(/^sim-/);
  });

  test('are read as an older version publishes them, which knows fewer statuses', async () => {
    const { quarantined: _quarantined, ...counts } = countsOf(10, 1_000).counts;
    await core.client.put({ Item: { ...COUNTS_KEY, counts, as_of_ms: 3_500 } });
    expect(await readCounts(core.client)).toMatchObject({
      counts: { stale: 4, cooling: 0, quarantined: 0 },
      total: 20,
    });
    const what = { by: { stale: -1, quarantined: 1 }, asOfMs: 3_500, nowMs: 4_000 };
    const added = await addDifferences(core.client, what, randomUUID);
    expect(added?.counts).toMatchObject({ counts: { stale: 3, quarantined: 1 }, total: 20 });
  });
});
