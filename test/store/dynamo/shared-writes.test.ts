import { expect, onTestFinished, test } from 'vitest';
import { context, HOUR_SECONDS, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import {
  cancelled,
  type Fault,
  type FaultInjector,
  failWith,
  holdCalls,
  injectFaults,
  loseAnswer,
  refused,
} from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';

const TRANSACT = 'TransactWriteItems';
const LEASES = 20;
const BUCKETS = 1;
/** Of the first four each goes by itself; the others share the next one. */
const SHARED_FROM = 4;

describeOnEngines('leases that end at once', ({ endpoint }) => {
  let core: TestCore;
  let faults: FaultInjector;

  /** All of the pool is leased, one sandbox to each holder of the same name. */
  async function start(): Promise<string[]> {
    core = await startCore(endpoint, { poolSize: LEASES, buckets: BUCKETS });
    onTestFinished(() => core.close());
    const ids: string[] = [];
    for (let holder = 0; holder < LEASES; holder++) {
      const { lease } = await core.useCases.allocateSandbox(
        { principal: 'track', holder: 'h', idempotencyKey: `${holder}` },
        context(),
      );
      ids.push(lease.sandboxId);
    }
    faults = injectFaults(core.client);
    return ids;
  }

  const mark = (sandboxId: string) => core.useCases.markForDeletion({ sandboxId, holder: 'h' }, context());
  const reads = () =>
    faults.calls.filter(({ operation, answeredAtMs }) => operation !== TRANSACT && answeredAtMs !== undefined)
      .length;
  /** The first four transactions are held until the others wait, in their order; `orElse` is what becomes of those four. */
  function holdFirst(orElse: Fault = (send) => send()) {
    const held = holdCalls();
    faults.next(TRANSACT, (send) => held.fault(() => orElse(send)), { times: SHARED_FROM });
    return held;
  }
  async function markAll(ids: string[], orElse?: Fault): Promise<void> {
    const held = holdFirst(orElse);
    const marks: Promise<unknown>[] = [];
    for (const id of ids) {
      const before = reads();
      marks.push(mark(id));
      await until(() => reads() > before, { what: 'it has been read' });
    }
    await until(() => held.waiting === SHARED_FROM, { what: 'the first to be sent' });
    held.release();
    await Promise.all(marks);
  }

  const transactions = () => faults.calls.filter(({ operation }) => operation === TRANSACT);
  /** Those that end no lease but this one. */
  const aloneOf = (sandboxId: string) =>
    transactions().filter(
      ({ json }) => json.includes(`"S#${sandboxId}"`) && json.match(/"S#sim-/g)?.length === 1,
    );
  const has = (...ids: string[]) => ({
    matching: ({ json }: { json: string }) => ids.every((id) => json.includes(`"S#${id}"`)),
  });
  async function expectMarkedOnce(ids: string[]): Promise<void> {
    for (const id of ids) {
      const { status } = (await core.store.get(id)) ?? {};
      const { history } = await core.useCases.inspectSandbox(id, context('admin'));
      expect([id, status, history.map(({ action }) => action)]).toEqual([
        id,
        'pending_deletion',
        ['sync_created', 'allocate', 'mark_for_deletion'],
      ]);
    }
  }

  test('share transactions', async () => {
    const ids = await start();
    await markAll(ids);
    expect(transactions()).toHaveLength(SHARED_FROM + 1);
    await expectMarkedOnce(ids);
  });

  test('by expiry, too', async () => {
    await start();
    core.clock.advanceSeconds(5 * HOUR_SECONDS);
    const held = holdFirst();
    const expired = core.work.expire(context());
    await until(() => held.waiting === SHARED_FROM && reads() > 0, { what: 'all are due' });
    held.release();
    expect(await expired).toEqual({
      overdue: LEASES,
      marked: LEASES,
      skipped: 0,
    });
    expect(transactions()).toHaveLength(SHARED_FROM + 1);
  });

  test('and one that is changed by others meanwhile is decided anew, for itself', async () => {
    const ids = await start();
    const [changed = ''] = ids.slice(-1);
    faults.next(
      TRANSACT,
      async (send) => {
        const seen = await core.store.get(changed);
        if (seen)
          await core.store.write({
            seen,
            next: { ...seen, name: 'renamed', generation: seen.generation + 1 },
          });
        return await send();
      },
      has(changed),
    );
    await markAll(ids);
    await expectMarkedOnce(ids);
    expect((await core.store.get(changed))?.name).toBe('renamed');
    // Once without it, and once more for it.
    expect(transactions()).toHaveLength(SHARED_FROM + 3);
  });

  test.each([
    ['another transaction is at work on', 'TransactionConflict'],
    ['there is no room for', 'ThrottlingError'],
    ['is never taken', 'ValidationError'],
  ])('and one that %s goes alone', async (_what, code) => {
    const ids = await start();
    const [first = '', odd = ''] = ids.slice(SHARED_FROM);
    const itemsOfFirst = 3;
    faults.next(
      TRANSACT,
      failWith(() => cancelled(...Array.from({ length: itemsOfFirst }, () => 'None'), code)),
      has(first, odd),
    );
    await markAll(ids);
    await expectMarkedOnce(ids);
    expect(aloneOf(odd)).toHaveLength(1);
    expect(transactions()).toHaveLength(SHARED_FROM + 3);
  });

  test('end once where the answer to all of them was lost', async () => {
    const ids = await start();
    const [one = '', other = ''] = ids.slice(SHARED_FROM);
    faults.next(TRANSACT, loseAnswer, has(one, other));
    await markAll(ids);
    await expectMarkedOnce(ids);
  });

  test('do not wait for each other while the store is out of reach', async () => {
    const ids = await start();
    await markAll(
      ids,
      failWith(() => refused('InternalServerError', 500)),
    );
    await expectMarkedOnce(ids);
    for (const id of ids.slice(SHARED_FROM)) expect(aloneOf(id), id).toHaveLength(1);
  });
});
