import { expect, onTestFinished, test } from 'vitest';
import { create } from '../../../src/domain/transitions.ts';
import { bucketOf } from '../../../src/store/sandboxes/keys.ts';
import type { AllocateResult } from '../../../src/usecases/leases/allocate-sandbox.ts';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import {
  cancelled,
  type FaultInjector,
  failWith,
  holdAnswers,
  holdCalls,
  injectFaults,
  refused,
} from '../../support/store/injected-faults.ts';
import { auditLeases } from '../../support/store/table-audit.ts';
import { until } from '../../support/until.ts';

/*
 * "None is free" is an answer that has to be proven by a sweep that began after the caller came:
 *
 *     sweep begins ─── caller comes ─── a sandbox becomes free ─── sweep ends: saw none
 *                      must not be refused on that sweep's word
 */
describeOnFastEngine('the proof that no sandbox is free', ({ endpoint }) => {
  /** One replica whose calls can be held, and another on the same table whose calls cannot. */
  async function start(poolSize = 0, buckets = 1) {
    const core = await startCore(endpoint, { poolSize, buckets });
    onTestFinished(() => core.close());
    const other = await core.replica();
    onTestFinished(() => other.close());
    return { core, other, faults: injectFaults(core.client) };
  }

  const allocate = (core: TestCore, holder: string, namePrefix?: string): Promise<AllocateResult> =>
    core.useCases.allocateSandbox({ principal: 'track', holder, namePrefix }, context());

  const expectNoneFree = (calling: Promise<unknown>) =>
    expect(calling).rejects.toMatchObject({ code: 'NO_SANDBOXES_AVAILABLE', retryAfterSeconds: 5 });

  async function addSandbox(core: TestCore, id: string): Promise<void> {
    const next = create(id, { name: id, externalId: id, metadata: {} }, core.clock.nowMs());
    expect(await core.store.write({ seen: undefined, next })).toBe(true);
  }

  /** Lets callers come as far as they can without an answer from the engine. */
  const joining = () => new Promise(setImmediate);

  const queries = (faults: FaultInjector) => faults.calls.filter(({ operation }) => operation === 'Query');

  /** The next sweep reads what is there now, and hears of it only when it is released. */
  async function oldSweep(faults: FaultInjector, begin: () => Promise<unknown>) {
    const old = holdAnswers();
    faults.next('Query', old.fault);
    const begun = begin();
    begun.catch(() => undefined);
    await until(() => old.waiting === 1, { what: 'the sweep is under way' });
    return { release: old.release, begun };
  }

  test('holds for the caller it began after, and for no one who came while it ran', async () => {
    const { core, other, faults } = await start();
    const sweep = await oldSweep(faults, () => allocate(core, 'early'));
    await addSandbox(other, 'freed');
    const late = allocate(core, 'late');
    await joining();
    sweep.release();
    await expectNoneFree(sweep.begun);
    expect((await late).lease.sandboxId).toBe('freed');
  });

  test('holds for no one who came while it ran, under the same key neither', async () => {
    const { core, other, faults } = await start();
    const sweep = await oldSweep(faults, () => allocate(core, 'same'));
    await addSandbox(other, 'freed');
    const late = allocate(core, 'same');
    await joining();
    sweep.release();
    await expectNoneFree(sweep.begun);
    expect((await late).lease.sandboxId).toBe('freed');
  });

  test('holds for no one who came while it ran, for the same name neither', async () => {
    const { core, other, faults } = await start();
    const sweep = await oldSweep(faults, () => allocate(core, 'early', 'lab-'));
    await addSandbox(other, 'lab-freed');
    const late = allocate(core, 'late', 'lab-');
    await joining();
    sweep.release();
    await expectNoneFree(sweep.begun);
    expect((await late).lease.sandboxId).toBe('lab-freed');
  });

  test('is not kept: what became free after a refusal is leased to the next caller', async () => {
    const { core, other } = await start();
    await expectNoneFree(allocate(core, 'h'));
    await addSandbox(other, 'freed');
    expect((await allocate(core, 'h')).lease.sandboxId).toBe('freed');
  });

  test('is one sweep for all who wait for it, and one more for all who came while it ran', async () => {
    const { core, faults } = await start();
    const sweep = await oldSweep(faults, () => allocate(core, 'first'));
    const late = Array.from({ length: 40 }, (_, i) => expectNoneFree(allocate(core, `late-${i}`)));
    await joining();
    sweep.release();
    await Promise.all([expectNoneFree(sweep.begun), ...late]);
    expect(queries(faults)).toHaveLength(2);
  });

  test('is no refusal for a key that another replica has just served', async () => {
    const { core, other, faults } = await start(1);
    const held = holdCalls();
    faults.next('Query', held.fault);
    const calling = allocate(core, 'h');
    await until(() => held.waiting === 1, { what: 'the sweep is about to be sent' });
    const served = await allocate(other, 'h');
    held.release();
    expect(await calling).toMatchObject({ lease: served.lease, replayed: true });
    expect(await auditLeases(core.client)).toHaveLength(1);
  });

  test('is not given while a sandbox is being tried by another caller of this replica', async () => {
    const { core, faults } = await start(1);
    const held = holdCalls();
    faults.next('TransactWriteItems', (send) =>
      held.fault(() => failWith(() => cancelled('None', 'TransactionConflict', 'None'))(send)),
    );
    const first = allocate(core, 'first');
    await until(() => held.waiting === 1, { what: 'the first caller tries the sandbox' });
    const before = queries(faults).length;
    const second = allocate(core, 'second');
    let isDecided = false;
    const decided = second.then(
      () => (isDecided = true),
      () => (isDecided = true),
    );
    await until(() => queries(faults).length > before + 3, { what: 'the second looks on' });
    expect(isDecided).toBe(false);
    // The first caller's try comes to nothing: the sandbox was free all the time.
    held.release();
    const answers = await Promise.allSettled([first, second]);
    await decided;
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const refusal = answers.find(({ status }) => status === 'rejected');
    expect(refusal).toMatchObject({ reason: { code: 'NO_SANDBOXES_AVAILABLE' } });
    expect(await auditLeases(core.client)).toHaveLength(1);
  });

  test('needs every bucket: where one cannot be read there is no proof, and no refusal', async () => {
    const { core, faults } = await start(0, 16);
    faults.next(
      'Query',
      failWith(() => refused('InternalServerError', 500)),
      { times: Number.POSITIVE_INFINITY, matching: ({ json }) => json.includes('"B#0a"') },
    );
    await expect(allocate(core, 'h')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  test('looks into the buckets of the other replicas, too', async () => {
    const { core, other } = await start(0, 16);
    for (const replica of [core, other, core]) await replica.register.beat(new AbortController().signal);
    expect(core.register.rank().replicas).toBe(2);
    const isOthers = (id: string) => bucketOf(id, 16) % 2 !== core.register.rank().index;
    const id = Array.from({ length: 100 }, (_, i) => `sandbox-${i}`).find(isOthers);
    await addSandbox(other, id!);
    expect((await allocate(core, 'h')).lease.sandboxId).toBe(id);
  });

  test('is for the name that was asked for: others may be free', async () => {
    const { core } = await start(3);
    await expectNoneFree(allocate(core, 'h', 'other-'));
    await core.readyList.refresh();
    await expectNoneFree(allocate(core, 'h', 'lab-0004'));
    expect((await allocate(core, 'h', 'lab-0003')).lease.name).toBe('lab-0003');
    await expectNoneFree(allocate(core, 'i', 'lab-0003'));
    expect((await allocate(core, 'i', 'lab-000')).replayed).toBe(false);
  });

  test('is given to everybody, however many ask for how many names', async () => {
    const { core, faults } = await start(40, 16);
    const asking = Array.from({ length: 100 }, (_, i) =>
      expectNoneFree(allocate(core, `h-${i}`, `none-${i}`)),
    );
    await Promise.all(asking);
    expect(queries(faults)).toHaveLength(100 * 16);
    expect(core.readyList.remembered).toBe(0);
  });

  test('ends when a sandbox comes back from its cleanup', async () => {
    const { core } = await start(2);
    const { lease } = await allocate(core, 'h');
    await core.useCases.markForDeletion({ sandboxId: lease.sandboxId, holder: 'h' }, context());
    await allocate(core, 'i');
    await expectNoneFree(allocate(core, 'j'));
    await core.work.cleanup(context());
    expect((await allocate(core, 'j')).lease.sandboxId).toBe(lease.sandboxId);
  });
});
