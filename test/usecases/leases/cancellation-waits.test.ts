import { expect, onTestFinished, test } from 'vitest';
import { allocate, refusal, refused } from '../../support/broker/csp-core.ts';
import { pausesOf } from '../../support/pauses.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import {
  cancelled,
  failWith,
  holdCalls,
  refused as refusedWith,
  timedOut,
} from '../../support/store/injected-faults.ts';
import { auditLeases } from '../../support/store/table-audit.ts';
import { candidateOf, startFaulty, TRANSACT, transactions } from './cancellation-steps.ts';

// What the store says here is injected: it makes no difference which engine would have said it.
describeOnFastEngine('an allocation that is refused by the store', ({ endpoint }) => {
  test.for([
    ['a conflict on the sandbox', ['None', 'TransactionConflict', 'None']],
    ['a conflict on its event', ['None', 'None', 'TransactionConflict']],
  ] as const)('%s sends the caller to the next candidate without a pause', async ([, codes]) => {
    const { core, faults } = await startFaulty(endpoint, 8);
    faults.next(
      TRANSACT,
      failWith(() => cancelled(...codes)),
      { times: 5 },
    );
    const {
      result: { lease, conflicts },
      pausesMs,
    } = await pausesOf(() => allocate(core, 'h'));
    expect({ conflicts, pausesMs }).toEqual({ conflicts: 5, pausesMs: [] });
    const sent = transactions(faults);
    expect(new Set(sent.map(candidateOf)).size).toBe(6);
    expect(candidateOf(sent.at(-1))).toBe(lease.sandboxId);
    // They were free after all: none is lost to the pool.
    for (let i = 0; i < 7; i++) await allocate(core, `rest-${i}`);
    expect(await auditLeases(core.client)).toHaveLength(8);
  });

  test.for([
    ['the key', ['TransactionConflict', 'None', 'None']],
    ['the key and the sandbox', ['TransactionConflict', 'TransactionConflict', 'None']],
  ] as const)('a conflict on %s is waited out with the same candidate', async ([, codes]) => {
    const { core, faults } = await startFaulty(endpoint, 8);
    faults.next(
      TRANSACT,
      failWith(() => cancelled(...codes)),
      { times: 3 },
    );
    const {
      result: { lease, conflicts, replayed },
      pausesMs,
    } = await pausesOf(() => allocate(core, 'h'));
    expect({ conflicts, replayed }).toEqual({ conflicts: 0, replayed: false });
    const sent = transactions(faults);
    expect(sent.map(candidateOf)).toEqual(Array(4).fill(lease.sandboxId));
    expect(pausesMs).toHaveLength(3);
    expect(Math.min(...pausesMs)).toBeGreaterThanOrEqual(5);
    expect(await auditLeases(core.client)).toHaveLength(1);
  });

  test('a conflict on the key that does not end is BUSY at the deadline', async () => {
    const { core, faults } = await startFaulty(endpoint, 8, { allocateDeadlineMs: 200 });
    faults.next(
      TRANSACT,
      failWith(() => cancelled('TransactionConflict', 'None', 'None')),
      { times: Infinity },
    );
    expect(await refused(allocate(core, 'h'))).toBe('BUSY');
    faults.clear();
    expect((await allocate(core, 'h')).replayed).toBe(false);
  });

  test('losing every candidate is BUSY at the deadline, and never a proof that nothing is free', async () => {
    const { core, faults } = await startFaulty(endpoint, 3, { allocateDeadlineMs: 1_000 });
    faults.next(
      TRANSACT,
      failWith(() => cancelled('None', 'TransactionConflict', 'None')),
      { times: Infinity },
    );
    expect(await refused(allocate(core, 'h'))).toBe('BUSY');
    expect(transactions(faults).length).toBeGreaterThan(3);
  });

  test.for([
    ['a table short of room', () => cancelled('ThrottlingError', 'None', 'None')],
    ['a throttled call', () => refusedWith('ThrottlingException')],
    ['a time-out', timedOut],
  ] as const)('%s is waited out with the same candidate', async ([, error]) => {
    const { core, faults } = await startFaulty(endpoint, 2);
    faults.next(TRANSACT, failWith(error), { times: 2 });
    const {
      result: { lease, conflicts, replayed },
      pausesMs,
    } = await pausesOf(() => allocate(core, 'h'));
    expect({ conflicts, replayed }).toEqual({ conflicts: 0, replayed: false });
    const sent = transactions(faults);
    expect(sent.map(candidateOf)).toEqual(Array(3).fill(lease.sandboxId));
    // 50 ms, then 100 ms, each times [0.5, 1.5).
    // A timer that fires early by a moment is set again for the rest.
    const [first = 0, second = 0, ...more] = pausesMs.filter((ms) => ms > 5);
    expect(more).toEqual([]);
    expect([first >= 25, first < 75, second >= 50, second < 150], String(pausesMs)).not.toContain(false);
  });

  test.for([
    ['the whole call', () => refusedWith('ThrottlingException')],
    ['its key', () => cancelled('ThrottlingError', 'None', 'None')],
    ['its sandbox', () => cancelled('None', 'ThrottlingError', 'None')],
    ['its event', () => cancelled('None', 'None', 'ThrottlingError')],
  ] as const)('throttling of %s without an end is STORE_UNAVAILABLE at the deadline', async ([, error]) => {
    const { core, faults } = await startFaulty(endpoint, 2, { allocateDeadlineMs: 400 });
    faults.next(TRANSACT, failWith(error), { times: Number.POSITIVE_INFINITY });
    // Set at the same moment, it fires right before the deadline's own timer, however late both are.
    let isOver = false;
    setTimeout(() => {
      isOver = true;
    }, 400);
    expect(await refused(allocate(core, 'h'))).toBe('STORE_UNAVAILABLE');
    expect(isOver, 'it was waited out').toBe(true);
    const other = await core.replica({ allocateDeadlineMs: 25_000 });
    onTestFinished(() => other.close());
    await allocate(other, 'h');
    await allocate(other, 'i');
    expect(await auditLeases(core.client)).toHaveLength(2);
  });

  test('time-outs without an end are STORE_UNAVAILABLE after four tries', async () => {
    const { core, faults } = await startFaulty(endpoint, 2);
    faults.next(TRANSACT, failWith(timedOut), { times: Number.POSITIVE_INFINITY });
    expect(await refusal(allocate(core, 'h'))).toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryAfterSeconds: 1,
    });
    expect(transactions(faults)).toHaveLength(4);
    faults.clear();
    // The candidate was in nobody's way: both are still there to be had.
    await allocate(core, 'h');
    await allocate(core, 'i');
    expect(await auditLeases(core.client)).toHaveLength(2);
  });

  test('a failed condition beside a throttled item is the answer: asking again would not change it', async () => {
    const { core, faults } = await startFaulty(endpoint, 2);
    faults.next(
      TRANSACT,
      failWith(() => cancelled('None', 'ConditionalCheckFailed', 'ThrottlingError')),
    );
    const { conflicts } = await allocate(core, 'h');
    expect(conflicts).toBe(1);
    expect(new Set(transactions(faults).map(candidateOf)).size).toBe(2);
  });

  test('the deadline holds while a transaction hangs', async () => {
    const { core, faults } = await startFaulty(endpoint, 2, { allocateDeadlineMs: 300 });
    const held = holdCalls();
    onTestFinished(held.release);
    faults.next(TRANSACT, held.fault, { times: Infinity });
    expect(await refused(allocate(core, 'h'))).toBe('STORE_UNAVAILABLE');
  });

  test('the deadline holds while a sweep hangs', async () => {
    const { core, faults } = await startFaulty(endpoint, 0, { allocateDeadlineMs: 300 });
    const held = holdCalls();
    onTestFinished(held.release);
    faults.next('Query', held.fault, { times: Infinity });
    expect(await refused(allocate(core, 'h'))).toBe('STORE_UNAVAILABLE');
  });

  test('the deadline holds while the look at the key hangs', async () => {
    const { core, faults } = await startFaulty(endpoint, 0, { allocateDeadlineMs: 300 });
    const held = holdCalls();
    onTestFinished(held.release);
    faults.next('GetItem', held.fault, { times: Infinity });
    expect(await refused(allocate(core, 'h'))).toBe('STORE_UNAVAILABLE');
  });

  test('the deadline holds while sweeps are throttled', async () => {
    const { core, faults } = await startFaulty(endpoint, 0, { allocateDeadlineMs: 300 });
    faults.next(
      'Query',
      failWith(() => refusedWith('ThrottlingException')),
      { times: Infinity },
    );
    expect(await refused(allocate(core, 'h'))).toBe('STORE_UNAVAILABLE');
    faults.clear();
    const other = await core.replica({ allocateDeadlineMs: 25_000 });
    onTestFinished(() => other.close());
    expect(await refused(allocate(other, 'h'))).toBe('NO_SANDBOXES_AVAILABLE');
  });
});
