import { expect, onTestFinished, test } from 'vitest';
import { BrokerError, type ErrorCode } from '../../../src/domain/errors.ts';
import { create } from '../../../src/domain/transitions.ts';
import { bucketOf } from '../../../src/store/sandboxes/keys.ts';
import type { AllocateInput } from '../../../src/usecases/leases/allocate-sandbox.ts';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { type FaultProxy, startFaultProxy } from '../../support/store/fault-proxy.ts';
import {
  cancelled,
  duplicate,
  type FaultInjector,
  failWith,
  holdCalls,
  injectFaults,
  loseAnswer,
  refused,
  type SentCall,
  timedOut,
} from '../../support/store/injected-faults.ts';
import { auditLeases } from '../../support/store/table-audit.ts';

/** Sleeping between two tries would take at least this long each time. */
const SHORTEST_SLEEP_MS = 5;
/** What a call may take beyond its limit, on a machine that has other things to do. */
const SLACK_MS = 3_000;
const TRANSACT = 'TransactWriteItems';

describeOnEngines('the answers to a cancelled allocation', ({ endpoint }) => {
  async function start(
    poolSize: number,
    options: { allocateDeadlineMs?: number; through?: string } = {},
  ): Promise<{ core: TestCore; faults: FaultInjector }> {
    const { through = endpoint, ...coreOptions } = options;
    const core = await startCore(through, { poolSize, ...coreOptions });
    onTestFinished(() => core.close());
    await core.readyList.refresh();
    const faults = injectFaults(core.client);
    core.calls.clear();
    return { core, faults };
  }

  const allocate = (core: TestCore, holder: string, more: Partial<AllocateInput> = {}) =>
    core.useCases.allocateSandbox({ principal: 'track', holder, ...more }, context());

  const transactions = (faults: FaultInjector) => faults.calls.filter((call) => call.operation === TRANSACT);

  /** The sandbox that a grant is about. */
  const candidateOf = (call: SentCall): string | undefined => /"sk":\{"S":"S#([^"]+)"/.exec(call.json)?.[1];

  /** Milliseconds from an answer to the next call. */
  const gaps = (calls: SentCall[]): number[] =>
    calls.slice(1).map((call, i) => call.atMs - (calls[i]?.answeredAtMs ?? Number.NaN));

  test('a win whose answer was lost is new to its caller, with one lease and one event', async () => {
    const { core, faults } = await start(3);
    faults.next(TRANSACT, loseAnswer);
    const { lease, replayed } = await allocate(core, 'h');
    expect(replayed).toBe(false);
    // It is read, not tried again.
    expect(transactions(faults)).toHaveLength(1);
    expect(core.calls.count('GetItem')).toBe(1);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
  });

  test('a win whose answer was lost on a connection that was cut is new to its caller, too', async () => {
    const proxy = await startProxy(endpoint);
    const { core } = await start(3, { through: proxy.endpoint });
    proxy.swallowResponses(1, /TransactWriteItems/i);
    const { lease, replayed } = await allocate(core, 'h');
    expect(proxy.swallowedResponses).toBe(1);
    expect(replayed).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId, holder: 'h' }]);
  });

  test('a win whose answers were all lost is a replay for the caller who asks again', async () => {
    const { core, faults } = await start(3);
    faults.next(TRANSACT, loseAnswer);
    faults.next('GetItem', loseAnswer, { times: 4 });
    await expectRefusal(allocate(core, 'h'), 'STORE_UNAVAILABLE');
    const [found] = await auditLeases(core.client);
    const { lease, replayed } = await allocate(core, 'h');
    expect(replayed).toBe(true);
    expect(lease.sandboxId).toBe(found?.sandboxId);
    expect(await auditLeases(core.client)).toHaveLength(1);
  });

  test('a transaction that the network delivers twice leases one sandbox, once', async () => {
    const { core, faults } = await start(3);
    faults.next(TRANSACT, duplicate);
    const { lease, replayed } = await allocate(core, 'h');
    expect(replayed).toBe(false);
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: lease.sandboxId }]);
  });

  test('the same request again is answered by one call, and the candidate goes back to the list', async () => {
    const { core } = await start(2);
    const first = await allocate(core, 'h', { lab: 'lab', idempotencyKey: 'k' });
    expect(core.readyList.size).toBe(1);
    core.calls.clear();
    const again = await allocate(core, 'h', { lab: 'lab', idempotencyKey: 'k' });
    expect(again).toEqual({ ...first, replayed: true });
    expect(core.calls.count()).toBe(1);
    expect(core.readyList.size).toBe(1);
    core.calls.clear();
    await allocate(core, 'other');
    expect(core.calls.count()).toBe(1);
  });

  test('another request under an explicit key is refused, and leases nothing', async () => {
    const { core } = await start(2);
    await allocate(core, 'h', { lab: 'lab', idempotencyKey: 'k' });
    core.calls.clear();
    await expectRefusal(
      allocate(core, 'h', { lab: 'another', idempotencyKey: 'k' }),
      'IDEMPOTENCY_KEY_REUSED',
    );
    expect(core.calls.count()).toBe(1);
    await expectRefusal(
      allocate(core, 'h', { lab: 'lab', namePrefix: 'lab-', idempotencyKey: 'k' }),
      'IDEMPOTENCY_KEY_REUSED',
    );
    expect(await auditLeases(core.client)).toHaveLength(1);
    expect(core.readyList.size).toBe(1);
  });

  test('another request under a key that was never chosen is a replay', async () => {
    const { core } = await start(2);
    const first = await allocate(core, 'h', { lab: 'lab' });
    const again = await allocate(core, 'h', { lab: 'another', namePrefix: 'lab-' });
    expect(again).toEqual({ ...first, replayed: true });
    expect(await auditLeases(core.client)).toHaveLength(1);
  });

  test('a stale candidate costs one transaction, its bucket is read again, and the next is tried without a pause', async () => {
    const { core, faults } = await start(5);
    const faster = await core.replica();
    onTestFinished(() => faster.close());
    const taken: string[] = [];
    for (let i = 0; i < 5; i++) taken.push((await allocate(faster, `faster-${i}`)).lease.sandboxId);
    await addSandbox(faster, 'one-more');
    const { lease, conflicts } = await allocate(core, 'h');
    expect(lease.sandboxId).toBe('one-more');
    const stale = new Set(taken.map((id) => bucketOf(id, 16))).size;
    expect(conflicts).toBe(stale);
    expect(transactions(faults)).toHaveLength(stale + 1);
    expect(Math.min(...gaps(transactions(faults)))).toBeLessThan(SHORTEST_SLEEP_MS);
    expect(await auditLeases(core.client)).toHaveLength(6);
  });

  test.for([
    ['a conflict on the sandbox', ['None', 'TransactionConflict', 'None']],
    ['a conflict on its event', ['None', 'None', 'TransactionConflict']],
  ] as const)('%s sends the caller to the next candidate without a pause', async ([, codes]) => {
    const { core, faults } = await start(8);
    faults.next(
      TRANSACT,
      failWith(() => cancelled(...codes)),
      { times: 5 },
    );
    const { lease, conflicts } = await allocate(core, 'h');
    expect(conflicts).toBe(5);
    const sent = transactions(faults);
    expect(new Set(sent.map(candidateOf)).size).toBe(6);
    expect(candidateOf(sent.at(-1)!)).toBe(lease.sandboxId);
    expect(Math.min(...gaps(sent))).toBeLessThan(SHORTEST_SLEEP_MS);
    // They were free after all: none is lost to the pool.
    for (let i = 0; i < 7; i++) await allocate(core, `rest-${i}`);
    expect(await auditLeases(core.client)).toHaveLength(8);
  });

  test.for([
    ['the key', ['TransactionConflict', 'None', 'None']],
    ['the key and the sandbox', ['TransactionConflict', 'TransactionConflict', 'None']],
  ] as const)('a conflict on %s is waited out with the same candidate', async ([, codes]) => {
    const { core, faults } = await start(8);
    faults.next(
      TRANSACT,
      failWith(() => cancelled(...codes)),
      { times: 3 },
    );
    const { lease, conflicts, replayed } = await allocate(core, 'h');
    expect({ conflicts, replayed }).toEqual({ conflicts: 0, replayed: false });
    const sent = transactions(faults);
    expect(sent.map(candidateOf)).toEqual(Array(4).fill(lease.sandboxId));
    // Timers may fire up to a millisecond early.
    expect(Math.min(...gaps(sent))).toBeGreaterThanOrEqual(SHORTEST_SLEEP_MS - 1);
    expect(await auditLeases(core.client)).toHaveLength(1);
  });

  test('a conflict on the key that does not end is BUSY at the deadline', async () => {
    const { core, faults } = await start(8, { allocateDeadlineMs: 200 });
    faults.next(
      TRANSACT,
      failWith(() => cancelled('TransactionConflict', 'None', 'None')),
      { times: Infinity },
    );
    await within(200, expectRefusal(allocate(core, 'h'), 'BUSY'));
    faults.clear();
    expect((await allocate(core, 'h')).replayed).toBe(false);
  });

  test('losing every candidate is BUSY at the deadline, and never a proof that nothing is free', async () => {
    const { core, faults } = await start(3, { allocateDeadlineMs: 300 });
    faults.next(
      TRANSACT,
      failWith(() => cancelled('None', 'TransactionConflict', 'None')),
      { times: Infinity },
    );
    await within(300, expectRefusal(allocate(core, 'h'), 'BUSY'));
    expect(transactions(faults).length).toBeGreaterThan(3);
  });

  test.for([
    ['a table short of room', () => cancelled('ThrottlingError', 'None', 'None')],
    ['a throttled call', () => refused('ThrottlingException')],
    ['a time-out', timedOut],
  ] as const)('%s is waited out with the same candidate', async ([, error]) => {
    const { core, faults } = await start(2);
    faults.next(TRANSACT, failWith(error), { times: 2 });
    const { lease, conflicts, replayed } = await allocate(core, 'h');
    expect({ conflicts, replayed }).toEqual({ conflicts: 0, replayed: false });
    const sent = transactions(faults);
    expect(sent.map(candidateOf)).toEqual(Array(3).fill(lease.sandboxId));
    // 50 ms, then 100 ms, each times [0.5, 1.5).
    expect(gaps(sent)[0]).toBeGreaterThanOrEqual(24);
    expect(gaps(sent)[1]).toBeGreaterThanOrEqual(49);
  });

  test.for([
    ['the whole call', () => refused('ThrottlingException')],
    ['its key', () => cancelled('ThrottlingError', 'None', 'None')],
    ['its sandbox', () => cancelled('None', 'ThrottlingError', 'None')],
    ['its event', () => cancelled('None', 'None', 'ThrottlingError')],
  ] as const)('throttling of %s without an end is STORE_UNAVAILABLE at the deadline', async ([, error]) => {
    const { core, faults } = await start(2, { allocateDeadlineMs: 400 });
    faults.next(TRANSACT, failWith(error), { times: Number.POSITIVE_INFINITY });
    const startedMs = performance.now();
    await within(400, expectRefusal(allocate(core, 'h'), 'STORE_UNAVAILABLE'));
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(399);
    expect(transactions(faults).length).toBeGreaterThan(1);
    const other = await core.replica({ allocateDeadlineMs: 25_000 });
    onTestFinished(() => other.close());
    await allocate(other, 'h');
    await allocate(other, 'i');
    expect(await auditLeases(core.client)).toHaveLength(2);
  });

  test('time-outs without an end are STORE_UNAVAILABLE after four tries', async () => {
    const { core, faults } = await start(2);
    faults.next(TRANSACT, failWith(timedOut), { times: Number.POSITIVE_INFINITY });
    const refusal = await within(525, expectRefusal(allocate(core, 'h'), 'STORE_UNAVAILABLE'));
    expect(refusal.retryAfterSeconds).toBe(1);
    expect(transactions(faults)).toHaveLength(4);
    faults.clear();
    // The candidate was in nobody's way: both are still there to be had.
    await allocate(core, 'h');
    await allocate(core, 'i');
    expect(await auditLeases(core.client)).toHaveLength(2);
  });

  test('a failed condition beside a throttled item is the answer: asking again would not change it', async () => {
    const { core, faults } = await start(2);
    faults.next(
      TRANSACT,
      failWith(() => cancelled('None', 'ConditionalCheckFailed', 'ThrottlingError')),
    );
    const { conflicts } = await allocate(core, 'h');
    expect(conflicts).toBe(1);
    expect(new Set(transactions(faults).map(candidateOf)).size).toBe(2);
  });

  test('the deadline holds while a transaction hangs', async () => {
    const { core, faults } = await start(2, { allocateDeadlineMs: 300 });
    const held = holdCalls();
    onTestFinished(held.release);
    faults.next(TRANSACT, held.fault, { times: Infinity });
    await within(300, expectRefusal(allocate(core, 'h'), 'STORE_UNAVAILABLE'));
  });

  test('the deadline holds while a sweep hangs', async () => {
    const { core, faults } = await start(0, { allocateDeadlineMs: 300 });
    const held = holdCalls();
    onTestFinished(held.release);
    faults.next('Query', held.fault, { times: Infinity });
    await within(300, expectRefusal(allocate(core, 'h'), 'STORE_UNAVAILABLE'));
  });

  test('the deadline holds while the look at the key hangs', async () => {
    const { core, faults } = await start(0, { allocateDeadlineMs: 300 });
    const held = holdCalls();
    onTestFinished(held.release);
    faults.next('GetItem', held.fault, { times: Infinity });
    await within(300, expectRefusal(allocate(core, 'h'), 'STORE_UNAVAILABLE'));
  });

  test('the deadline holds while sweeps are throttled', async () => {
    const { core, faults } = await start(0, { allocateDeadlineMs: 300 });
    faults.next(
      'Query',
      failWith(() => refused('ThrottlingException')),
      { times: Infinity },
    );
    await within(300, expectRefusal(allocate(core, 'h'), 'STORE_UNAVAILABLE'));
    faults.clear();
    const other = await core.replica({ allocateDeadlineMs: 25_000 });
    onTestFinished(() => other.close());
    await expectRefusal(allocate(other, 'h'), 'NO_SANDBOXES_AVAILABLE');
  });
});

/** A sandbox that nobody has read yet. */
async function addSandbox(core: TestCore, sandboxId: string): Promise<void> {
  const seen = undefined;
  const description = { name: sandboxId, externalId: sandboxId, metadata: {} };
  const next = create(sandboxId, description, core.clock.nowMs());
  expect(await core.store.write({ seen, next })).toBe(true);
}

async function startProxy(endpoint: string): Promise<FaultProxy> {
  const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
  onTestFinished(() => proxy.close());
  return proxy;
}

async function expectRefusal(calling: Promise<unknown>, code: ErrorCode): Promise<BrokerError> {
  const error = await calling.then(
    (answer) => expect.fail(`answered ${JSON.stringify(answer)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof BrokerError)) throw new Error('not a refusal', { cause: error });
  expect(error.code).toBe(code);
  return error;
}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await work;
  expect(performance.now() - startedMs).toBeLessThan(limitMs + SLACK_MS);
  return result;
}
