import { expect, onTestFinished, test } from 'vitest';
import { LAYOUT_KEY } from '../../../src/store/sandboxes/keys.ts';
import { hasSandboxes, noteStocked, noteSync, readStock } from '../../../src/store/shared/stock.ts';
import { createStocking, type Stocking } from '../../../src/usecases/inventory/stocking.ts';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

const BUCKETS = 4;
const SIGNAL = AbortSignal.timeout(120_000);

describeOnEngines('whether the pool was ever stocked', ({ endpoint }) => {
  async function setUp() {
    const core = await startCore(endpoint, { buckets: BUCKETS });
    onTestFinished(core.close);
    return { core };
  }

  /** As a process that has just been started on the table sees it. */
  function processOn({ client, clock }: TestCore) {
    let opened = 0;
    const errors: unknown[] = [];
    const stocking = createStocking({
      read: (signal) => readStock(client, signal),
      noteSync: (end) => noteSync(client, end),
      noteStocked: (nowMs, signal) => noteStocked(client, nowMs, signal),
      hasSandboxes: (signal) => hasSandboxes(client, BUCKETS, signal),
      clock,
      onOpen: () => opened++,
      onError: (error) => errors.push(error),
    });
    return { stocking, opened: () => opened, errors };
  }
  const allocate = (stocking: Stocking) => stocking.guarding(async () => 'a lease')();
  const syncOf = (core: TestCore, stocking: Stocking) =>
    stocking.noting(core.work.sync)({ force: false }, context());

  test('is asked of the table once, and of memory from then on', async () => {
    const { core } = await setUp();
    const one = processOn(core);
    await one.stocking.look(SIGNAL);
    await expect(allocate(one.stocking)).rejects.toMatchObject({
      code: 'POOL_NOT_SYNCED',
      retryAfterSeconds: expect.any(Number),
    });
    core.clock.advanceSeconds(1);
    await syncOf(core, one.stocking);
    core.calls.clear();
    expect(await allocate(one.stocking)).toBe('a lease');
    expect(core.calls.count()).toBe(0);
    expect(one.opened()).toBe(1);

    const later = processOn(core);
    await later.stocking.look(SIGNAL);
    expect(later.stocking.isOpen()).toBe(true);
  });

  test('is learnt from another replica, whether its sync ended well or badly', async () => {
    const { core } = await setUp();
    const [one, two] = [processOn(core), processOn(core)];
    for (const { stocking } of [one, two]) await stocking.look(SIGNAL);
    const failing = one.stocking.noting(() => Promise.reject(new Error('boom')));
    await expect(failing({ force: false }, context())).rejects.toThrow('boom');
    expect(one.stocking.readiness()).toEqual({
      pool: { state: 'degraded', detail: 'never stocked, the first sync failed (internal)' },
      sync: { state: 'degraded', detail: 'the last one failed (internal)' },
    });
    expect(two.stocking.isOpen()).toBe(false);
    await two.stocking.look(SIGNAL);
    expect(two.stocking.isOpen()).toBe(true);

    // Whoever starts now waits for a sync of its own time.
    const third = processOn(core);
    await third.stocking.look(SIGNAL);
    expect(third.stocking.isOpen()).toBe(false);
  });

  test('says nothing because of a run that was told to stop', async () => {
    const { core } = await setUp();
    const { stocking } = processOn(core);
    await stocking.look(SIGNAL);
    const stopped = { ...context(), signal: AbortSignal.abort() };
    const sync = stocking.noting(() => Promise.reject(new Error('stopped')));
    await expect(sync({ force: false }, stopped)).rejects.toThrow('stopped');
    expect(stocking.isOpen()).toBe(false);
  });

  test('is known of a table of an older version by its sandboxes', async () => {
    const { core } = await setUp();
    const older = { ...LAYOUT_KEY, buckets: BUCKETS, schema_version: 1 };
    await core.client.put({ Item: older });
    const empty = processOn(core);
    await empty.stocking.look(SIGNAL);
    expect(empty.stocking.isOpen()).toBe(false);

    const stocked = await startCore(endpoint, { buckets: BUCKETS, poolSize: 3 });
    onTestFinished(stocked.close);
    await stocked.client.put({ Item: older });
    const { stocking, opened } = processOn(stocked);
    await stocking.look(SIGNAL);
    expect(stocking.isOpen()).toBe(true);
    expect(opened()).toBe(0);
    expect(await readStock(stocked.client)).toMatchObject({ stockedAtMs: stocked.clock.nowMs() });
  });

  test('is not believed of a table that was begun to be stocked, nor of one that was made anew', async () => {
    const core = await startCore(endpoint, { buckets: BUCKETS, poolSize: 3 });
    onTestFinished(core.close);
    const { stocking, opened } = processOn(core);
    await stocking.look(SIGNAL);
    expect(stocking.isOpen()).toBe(false);
    await noteStocked(core.client, 1_000);
    await stocking.look(SIGNAL);
    expect([stocking.isOpen(), opened()]).toEqual([true, 1]);

    const layout = { buckets: BUCKETS, schema_version: 1, keeps_stock: true };
    await core.client.put({ Item: { ...LAYOUT_KEY, ...layout } });
    await stocking.look(SIGNAL);
    expect(stocking.isOpen()).toBe(false);
    await core.client.delete({ Key: LAYOUT_KEY });
    expect(await stocking.look(SIGNAL)).toBe(false);
  });
});
