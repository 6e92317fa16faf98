import { expect, onTestFinished, test } from 'vitest';
import type { AllocateInput } from '../../../src/usecases/leases/allocate-sandbox.ts';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
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
  type SentCall,
} from '../../support/store/injected-faults.ts';
import { auditLeases } from '../../support/store/table-audit.ts';
import { until } from '../../support/until.ts';

const TRANSACT = 'TransactWriteItems';
/** A replica has so many transactions under way at once; who comes later shares one. */
const ALONE = 4;

type Request = Omit<AllocateInput, 'principal'>;

describeOnEngines('callers who come together', ({ endpoint }) => {
  async function start(poolSize: number): Promise<{ core: TestCore; faults: FaultInjector }> {
    const core = await startCore(endpoint, { poolSize, buckets: 4 });
    onTestFinished(() => core.close());
    await core.readyList.refresh();
    return { core, faults: injectFaults(core.client) };
  }

  const allocate = (core: TestCore, request: Request) =>
    core.useCases.allocateSandbox({ principal: 'track', ...request }, context());

  const transactions = (faults: FaultInjector) => faults.calls.filter((call) => call.operation === TRANSACT);

  const keysOf = (call: SentCall): string[] => call.json.match(/"pk":\{"S":"I#[^"]*"/g) ?? [];

  const grantsOf = (call: SentCall): number => keysOf(call).length;

  const isShared = (call: SentCall): boolean => grantsOf(call) > 1;

  /** All at once; the first calls are held until everybody is there, so that it is known who shares. */
  async function allTogether(core: TestCore, faults: FaultInjector, requests: readonly Request[]) {
    const busy = holdCalls();
    faults.next(TRANSACT, busy.fault, { times: ALONE });
    const answers = Promise.allSettled(requests.map((request) => allocate(core, request)));
    await until(() => busy.waiting === ALONE, { what: 'the first transactions are sent' });
    busy.release();
    return await answers;
  }

  const people = (count: number, name = 'h'): Request[] =>
    Array.from({ length: count }, (_, i) => ({ holder: `${name}-${i}` }));

  const leasesOf = (answers: Awaited<ReturnType<typeof allTogether>>) =>
    answers.map((answer) => {
      if (answer.status === 'rejected') throw answer.reason;
      return answer.value;
    });

  test('share transactions, and each has a sandbox, a key and an event of its own', async () => {
    const { core, faults } = await start(60);
    const leases = leasesOf(await allTogether(core, faults, people(60)));
    expect(new Set(leases.map(({ lease }) => lease.sandboxId)).size).toBe(60);
    expect(leases.every(({ replayed, conflicts }) => !replayed && conflicts === 0)).toBe(true);
    // Four alone, and the others sixteen to a transaction.
    expect(
      transactions(faults)
        .map(grantsOf)
        .sort((a, b) => a - b),
    ).toEqual([1, 1, 1, 1, 8, 16, 16, 16]);
    expect(await auditLeases(core.client)).toHaveLength(60);
  });

  test('each get the answer of their own: new, again, and after a lost candidate', async () => {
    const { core, faults } = await start(40);
    const known = people(5, 'known');
    const had: string[] = [];
    for (const request of known) had.push((await allocate(core, request)).lease.sandboxId);
    const other = await core.replica();
    onTestFinished(() => other.close());
    for (const request of people(5, 'other')) await allocate(other, request);
    const leases = leasesOf(await allTogether(core, faults, [...people(20), ...known]));
    for (const [index, sandboxId] of had.entries()) {
      expect(leases[20 + index]).toMatchObject({ replayed: true, lease: { sandboxId } });
    }
    const fresh = leases.slice(0, 20);
    expect(fresh.every(({ replayed }) => !replayed)).toBe(true);
    expect(new Set(fresh.map(({ lease }) => lease.sandboxId)).size).toBe(20);
    expect(await auditLeases(core.client)).toHaveLength(30);
  });

  test('are all told of their win when the one answer to it was lost', async () => {
    const { core, faults } = await start(20);
    faults.next(TRANSACT, loseAnswer, { matching: isShared });
    const leases = leasesOf(await allTogether(core, faults, people(20)));
    expect(faults.left).toBe(0);
    expect(leases.every(({ replayed }) => !replayed)).toBe(true);
    expect(new Set(leases.map(({ lease }) => lease.sandboxId)).size).toBe(20);
    expect(await auditLeases(core.client)).toHaveLength(20);
  });

  test.for([
    ['its key', 0],
    ['its sandbox', 1],
  ] as const)('go on when another transaction is at work for one of them, on %s', async ([, item]) => {
    const { core, faults } = await start(21);
    let shared = 0;
    faults.next(
      TRANSACT,
      failWith(() => {
        const codes = Array.from({ length: 3 * shared }, () => 'None');
        codes[3 * (shared - 1) + item] = 'TransactionConflict';
        return cancelled(...codes);
      }),
      {
        matching(call) {
          shared = grantsOf(call);
          return shared > 1;
        },
      },
    );
    const leases = leasesOf(await allTogether(core, faults, people(20)));
    expect(faults.left).toBe(0);
    expect(leases.reduce((sum, { conflicts }) => sum + conflicts, 0)).toBe(item);
    expect(await auditLeases(core.client)).toHaveLength(20);
  });

  test('never share a transaction under one key: one has it, and the other is told', async () => {
    const { core, faults } = await start(20);
    const rivals = ['one-lab', 'other-lab'].map((lab) => ({ holder: 'h', idempotencyKey: 'mine', lab }));
    const answers = await allTogether(core, faults, [...people(8), ...rivals]);
    // They are in two transactions at once, and either may be the first.
    const ends = answers.slice(-rivals.length).sort((a, b) => a.status.localeCompare(b.status));
    expect(ends).toMatchObject([
      { status: 'fulfilled', value: { replayed: false } },
      { status: 'rejected', reason: { code: 'IDEMPOTENCY_KEY_REUSED' } },
    ]);
    expect(transactions(faults).some(isShared)).toBe(true);
    for (const call of transactions(faults)) expect(new Set(keysOf(call)).size).toBe(grantsOf(call));
    expect(await auditLeases(core.client)).toHaveLength(9);
  });

  test('are not held up by one among them that the store refuses for itself', async () => {
    const { core, faults } = await start(20);
    const isPoisoned = ({ json }: SentCall) => json.includes('"h-7"');
    const refuse: Fault = failWith(() => refused('ValidationException'));
    faults.next(TRANSACT, refuse, { times: Number.POSITIVE_INFINITY, matching: isPoisoned });
    const answers = await allTogether(core, faults, people(20));
    const failed = answers.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []));
    expect(failed).toEqual([7]);
    expect(await auditLeases(core.client)).toHaveLength(19);
  });

  test('are each asked for alone after a refusal whose reasons say nothing about any of them', async () => {
    const { core, faults } = await start(20);
    faults.next(
      TRANSACT,
      failWith(() => cancelled('ItemCollectionSizeLimitExceeded', 'None', 'None')),
      {
        matching: isShared,
      },
    );
    leasesOf(await allTogether(core, faults, people(20)));
    expect(faults.left).toBe(0);
    expect(transactions(faults).filter(isShared)).toHaveLength(1);
    expect(await auditLeases(core.client)).toHaveLength(20);
  });

  test('go again while the store has no room for any of them', async () => {
    const { core, faults } = await start(20);
    const hasNoRoom = failWith(() => refused('ThrottlingException'));
    faults.next(TRANSACT, hasNoRoom, { times: 2, matching: isShared });
    leasesOf(await allTogether(core, faults, people(20)));
    expect(faults.left).toBe(0);
    expect(await auditLeases(core.client)).toHaveLength(20);
  });

  test.for([
    ['its key', 0],
    ['its sandbox', 1],
    ['its event', 2],
  ] as const)('go on at once without the one for whom there was no room, on %s', async ([, item]) => {
    const { core, faults } = await start(24);
    let refusedCall: SentCall | undefined;
    faults.next(
      TRANSACT,
      failWith(() => {
        const codes = Array.from({ length: 3 * grantsOf(refusedCall!) }, () => 'None');
        codes[3 + item] = 'ThrottlingError';
        return cancelled(...codes);
      }),
      {
        matching(call) {
          if (isShared(call)) refusedCall = call;
          return isShared(call);
        },
      },
    );
    leasesOf(await allTogether(core, faults, people(20)));
    const [guilty, ...others] = [keysOf(refusedCall!)[1], ...keysOf(refusedCall!).toSpliced(1, 1)];
    const next = transactions(faults)[transactions(faults).indexOf(refusedCall!) + 1]!;
    expect(keysOf(next)).toEqual(others);
    expect(keysOf(next)).not.toContain(guilty);
    expect(await auditLeases(core.client)).toHaveLength(20);
  });

  test('are all told when the store is out of reach, after a few tries', async () => {
    const { core, faults } = await start(20);
    const isDown = failWith(() => refused('InternalServerError', 500));
    let held = ALONE;
    faults.next(TRANSACT, isDown, { times: Number.POSITIVE_INFINITY, matching: () => held-- <= 0 });
    const answers = await allTogether(core, faults, people(20));
    const codes = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason.code] : []));
    expect(codes).toEqual(Array.from({ length: 16 }, () => 'STORE_UNAVAILABLE'));
    // Four tries for all sixteen, in ever smaller groups.
    expect(transactions(faults).length).toBeLessThanOrEqual(ALONE + 1 + 16 * 3);
    faults.clear();
    const again = leasesOf(await Promise.allSettled(people(20).map((request) => allocate(core, request))));
    expect(again.filter(({ replayed }) => replayed)).toHaveLength(ALONE);
    expect(await auditLeases(core.client)).toHaveLength(20);
  });
});
