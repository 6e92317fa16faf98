import { expect, onTestFinished, test } from 'vitest';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
import { startDynamoProxy } from '../../support/dynamo-proxy.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import {
  failWith,
  holdCalls,
  injectFaults,
  straggle,
  timedOut,
} from '../../support/store/injected-faults.ts';
import { auditLeases } from '../../support/store/table-audit.ts';
import { until } from '../../support/until.ts';

const TRANSACT = 'TransactWriteItems';

/*
 * Writes that take longer than their sender waits, while reads are fast:
 *
 *     sent ─── given up ─── asked again ─── it comes true ─── …
 */
describeOnFastEngine('an allocation on a store whose writes are slow', ({ endpoint }) => {
  async function start(at = endpoint) {
    const core = await startCore(at, { poolSize: 4 });
    onTestFinished(() => core.close());
    await core.readyList.refresh();
    return { core, faults: injectFaults(core.client) };
  }

  const allocate = (core: TestCore) =>
    core.useCases.allocateSandbox({ principal: 'track', holder: 'h' }, context());

  test('looks whether its try came true before it tries again', async () => {
    const { core, faults } = await start();
    const late = straggle();
    const look = holdCalls();
    faults.next(TRANSACT, late.fault);
    faults.next('GetItem', look.fault);
    const calling = allocate(core);
    await until(() => look.waiting === 1, { what: 'the key is looked at' });
    expect(await late.arrive()).toBe(true);
    look.release();
    const { lease, replayed } = await calling;
    expect(replayed).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
    expect(faults.calls.filter(({ operation }) => operation === TRANSACT)).toHaveLength(1);
  });

  test('that came true after its caller was told 503 is found by the next ask without a write', async () => {
    const { core, faults } = await start();
    const late = straggle();
    faults.next(TRANSACT, late.fault);
    faults.next(TRANSACT, failWith(timedOut), { times: Number.POSITIVE_INFINITY });
    await expect(allocate(core)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await late.arrive()).toBe(true);
    const before = faults.calls.length;
    const { lease, replayed } = await allocate(core);
    expect(replayed).toBe(true);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
    expect(faults.calls.slice(before).map(({ operation }) => operation)).not.toContain(TRANSACT);
    // It is settled: the next one is a write again, as ever.
    faults.clear();
    core.calls.clear();
    expect((await allocate(core)).replayed).toBe(true);
    expect([core.calls.count('GetItem'), core.calls.count()]).toEqual([1, 1]);
  });

  test('ends with its lease on a real line, though no write is ever answered in time', async () => {
    const proxy = await startDynamoProxy(endpoint);
    onTestFinished(() => proxy.close());
    const { core } = await start(proxy.endpoint);
    // A call is given up after 3 s.
    proxy.setLatency({ read: () => 3, write: () => 3_500, transaction: () => 3_500 });
    const { lease, replayed } = await allocate(core);
    expect(replayed).toBe(false);
    proxy.setLatency(undefined);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
  });
});
