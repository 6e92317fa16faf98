import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { create } from '../../../src/domain/transitions.ts';
import { bucketOf } from '../../../src/store/sandboxes/keys.ts';
import { createReadyList } from '../../../src/store/sandboxes/ready-list.ts';
import type { AllocateResult } from '../../../src/usecases/leases/allocate-sandbox.ts';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { injectFaults } from '../../support/store/injected-faults.ts';
import { auditLeases } from '../../support/store/table-audit.ts';

const TRANSACT = 'TransactWriteItems';
const BUCKETS = 16;
const signal = new AbortController().signal;

const allocate = (core: TestCore, holder: string, namePrefix?: string): Promise<AllocateResult> =>
  core.useCases.allocateSandbox({ principal: 'track', holder, namePrefix }, context());

describeOnFastEngine('what an allocation costs', ({ endpoint }) => {
  async function start(poolSize: number, { refreshed = true, buckets = BUCKETS } = {}): Promise<TestCore> {
    const core = await startCore(endpoint, { poolSize, buckets });
    onTestFinished(() => core.close());
    if (refreshed) await core.readyList.refresh();
    core.calls.clear();
    return core;
  }

  test.for([20, 500])('is one round trip on an idle broker, with a pool of %d', async (poolSize) => {
    const core = await start(poolSize);
    await allocate(core, 'h');
    expect(core.calls.count()).toBe(1);
    expect(core.calls.count(TRANSACT)).toBe(1);
  });

  test('is one round trip for each, until the very last of the pool', async () => {
    const core = await start(20);
    for (let i = 0; i < 20; i++) await allocate(core, `h-${i}`);
    expect(core.calls.count()).toBe(20);
    expect(await auditLeases(core.client)).toHaveLength(20);
  });

  test('is no wasted grant over four replicas with a pool of four times the callers', async () => {
    const first = await start(400, { refreshed: false });
    const replicas = [first, await first.replica(), await first.replica(), await first.replica()];
    for (const each of replicas.slice(1)) onTestFinished(() => each.close());
    for (const each of [...replicas, ...replicas]) await each.register.beat(signal);
    for (const each of replicas) await each.readyList.refresh();
    const faults = replicas.map(({ client }) => injectFaults(client));
    const callers = Array.from({ length: 100 }, (_, i) => allocate(replicas[i % 4]!, `h-${i}`));
    const answers = await Promise.all(callers);
    expect(new Set(answers.map(({ lease }) => lease.sandboxId)).size).toBe(100);
    const sent = faults.flatMap(({ calls }) => calls.filter(({ operation }) => operation === TRANSACT));
    expect(sent.flatMap(({ json }) => json.match(/"pk":\{"S":"I#/g) ?? [])).toHaveLength(100);
    // Callers who come at once share transactions.
    expect(sent.length).toBeLessThanOrEqual(50);
    expect(await auditLeases(first.client)).toHaveLength(100);
  });

  test('is nothing stolen but what a caller needs, and a little for the next ones', async () => {
    const core = await start(0, { refreshed: false, buckets: 2 });
    for (const id of Array.from({ length: 80 }, (_, i) => `lab-${i}`)) {
      if (bucketOf(id, 2) !== 0) continue;
      const next = create(id, { name: id, externalId: id, metadata: {} }, core.clock.nowMs());
      await core.store.write({ seen: undefined, next });
    }
    const thief = createReadyList(
      core.reads,
      () => ({ index: 1, replicas: 2 }),
      core.store.bucketPace,
      (error) => expect.fail(String(error)),
    );
    await thief.sweep();
    expect(thief.size).toBe(1 + 8);
  });

  test('is one wasted transaction for a hint that is stale', async () => {
    const core = await start(3);
    const other = await core.replica();
    onTestFinished(() => other.close());
    await allocate(other, 'a');
    await allocate(other, 'b');
    const { conflicts } = await allocate(core, 'h');
    expect(core.calls.count(TRANSACT)).toBe(conflicts + 1);
    expect(core.calls.count()).toBe(conflicts + 1);
    expect(conflicts).toBeLessThanOrEqual(2);
  });

  test('is 1.00 calls for a replay while sandboxes are free', async () => {
    const core = await start(20);
    await allocate(core, 'h');
    core.calls.clear();
    for (let i = 0; i < 50; i++) expect((await allocate(core, 'h')).replayed).toBe(true);
    expect(core.calls.count()).toBe(50);
  });

  test('is 1.00 calls for a replay while the whole pool is leased out', async () => {
    const core = await start(3);
    for (const holder of ['a', 'b', 'c']) await allocate(core, holder);
    await core.readyList.refresh();
    core.calls.clear();
    for (let i = 0; i < 50; i++) expect((await allocate(core, 'b')).replayed).toBe(true);
    expect(core.calls.count()).toBe(50);
    expect(core.calls.count('GetItem')).toBe(50);
  });

  test('is one transaction for fifty callers with one key, and one of them is the first', async () => {
    const core = await start(20);
    const answers = await Promise.all(Array.from({ length: 50 }, () => allocate(core, 'same')));
    expect(new Set(answers.map(({ lease }) => lease.sandboxId)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(core.calls.count(TRANSACT)).toBe(1);
    // And no look at the key: all of them came before it was sent.
    expect(core.calls.count()).toBe(1);
    expect(await auditLeases(core.client)).toHaveLength(1);
  });

  test('is one sweep for fifty callers with one key on an empty pool, and all are refused', async () => {
    const core = await start(0, { refreshed: false });
    const answers = await Promise.allSettled(Array.from({ length: 50 }, () => allocate(core, 'same')));
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'NO_SANDBOXES_AVAILABLE' } });
    }
    expect(core.calls.count('Query')).toBe(BUCKETS);
    expect(core.calls.count(TRANSACT)).toBe(0);
    // And one look at the key: another replica may have served it.
    expect(core.calls.count()).toBe(BUCKETS + 1);
  });

  test('is one sweep for fifty callers with fifty keys on an empty pool, too', async () => {
    const core = await start(0, { refreshed: false });
    const answers = await Promise.allSettled(Array.from({ length: 50 }, (_, i) => allocate(core, `h-${i}`)));
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill('rejected'));
    expect(core.calls.count('Query')).toBe(BUCKETS);
  });

  test('leaves nothing behind in memory but what the last seconds need', async () => {
    const core = await start(100, { buckets: 1 });
    const nameOf = (i: number) => (i % 4 === 0 ? `x-${i}` : undefined);
    for (let round = 0; round < 5; round++) {
      const callers = Array.from({ length: 100 }, (_, i) => allocate(core, `h-${round % 2}-${i}`, nameOf(i)));
      await Promise.allSettled(callers);
    }
    // A hundred spent generations, the gate of the whole pool, and those of 25 names.
    expect(core.readyList.remembered).toBeLessThanOrEqual(126);
    expect(core.readyList.size).toBe(0);
  });

  describe('with 5,000 sandboxes', () => {
    let core: TestCore;
    beforeAll(async () => {
      core = await startCore(endpoint, { poolSize: 5_000 });
    });
    afterAll(() => core.close());

    test('is one look into each bucket and one transaction for the one name that matches', async () => {
      const name = 'lab-4217';
      core.calls.clear();
      const { lease } = await allocate(core, 'h', name);
      expect(lease.name).toBe(name);
      expect(core.calls.count('Query')).toBe(BUCKETS);
      expect(core.calls.count()).toBe(BUCKETS + 1);
      await expect(allocate(core, 'i', name)).rejects.toMatchObject({ code: 'NO_SANDBOXES_AVAILABLE' });
    });

    test('is never more than one page of a bucket for a sweep: its size follows the callers', async () => {
      const faults = injectFaults(core.client);
      await core.readyList.sweep('lab-2');
      const limits = faults.calls.map(({ json }) => Number(/"Limit":(\d+)/.exec(json)?.[1]));
      expect(limits).toEqual(Array(BUCKETS).fill(9));
    });

    test('keeps the list bounded, whatever names are swept for', async () => {
      for (let i = 0; i < 50; i++) await core.readyList.sweep(`lab-${String(i).padStart(2, '0')}`);
      expect(core.readyList.size).toBe(4_000);
    });
  });
});
