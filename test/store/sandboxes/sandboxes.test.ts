import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventOf, type SandboxEvent } from '../../../src/domain/event.ts';
import type { AvailableSandbox, Sandbox } from '../../../src/domain/sandbox.ts';
import {
  allocate,
  create,
  describe as describeAs,
  requestDeletion,
} from '../../../src/domain/transitions.ts';
import type { Change } from '../../../src/store/sandboxes/changes.ts';
import type { Grant } from '../../../src/store/sandboxes/grants.ts';
import type { KeyRecord } from '../../../src/store/sandboxes/idempotency.ts';
import { context, HOUR_SECONDS, startCore, type TestCore } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import {
  cancelled,
  type FaultInjector,
  failWith,
  injectFaults,
  refused,
} from '../../support/store/injected-faults.ts';
import { auditLeases, readTable } from '../../support/store/table-audit.ts';

describeOnEngines('the sandboxes of a table', ({ endpoint }) => {
  let core: TestCore;
  let faults: FaultInjector;
  let count = 0;

  beforeAll(async () => {
    core = await startCore(endpoint);
    faults = injectFaults(core.client);
  });
  afterEach(() => faults.clear());
  afterAll(() => core.close());

  const eventTo = (seen: Sandbox | undefined, next: Sandbox): SandboxEvent =>
    eventOf(seen, next, 'test', context());

  async function newSandbox(): Promise<AvailableSandbox> {
    const id = `sandbox-${++count}`;
    const next = create(id, { name: id, externalId: id, metadata: {} }, core.clock.nowMs());
    expect(await core.store.write({ seen: undefined, next, event: eventTo(undefined, next) })).toBe(true);
    return next;
  }

  function grantOf(seen: AvailableSandbox, keyPk: string, attempt = 'attempt'): Grant {
    const nowMs = core.clock.nowMs();
    const allocatedAt = nowMs / 1000;
    const expiresAt = allocatedAt + HOUR_SECONDS;
    const reclaimAt = expiresAt + HOUR_SECONDS / 2;
    const lease = {
      leaseId: `lease-of-${keyPk}-${allocatedAt}`,
      holder: 'h',
      allocatedAt,
      expiresAt,
      reclaimAt,
    };
    const next = allocate(seen, { ...lease, idempotencyPk: keyPk }, nowMs);
    const key: KeyRecord = {
      pk: keyPk,
      sandboxId: seen.id,
      name: seen.name,
      externalId: seen.externalId,
      leaseId: lease.leaseId,
      allocatedAt,
      leaseExpiresAt: expiresAt,
      expiresAt: reclaimAt,
      requestHash: 'hash',
      attempt,
    };
    return { seen, next, event: eventTo(seen, next), key, nowMs };
  }

  async function leased(keyPk: string) {
    const seen = await newSandbox();
    const grant = grantOf(seen, keyPk);
    expect(await core.store.grant(grant)).toEqual({ type: 'granted' });
    return grant.next;
  }

  /** There is one, and its lease is not over. */
  const hasKey = async (pk: string) =>
    (await core.client.get({ pk, sk: 'I' }))?.['expires_at'] > core.clock.nowMs() / 1000;

  test('are found by their ids, and nothing is found by another', async () => {
    const sandbox = await newSandbox();
    expect(await core.store.get(sandbox.id)).toEqual(sandbox);
    expect(await core.store.get('nobody')).toBeUndefined();
  });

  test('are granted with key and event, all or nothing', async () => {
    const seen = await newSandbox();
    const grant = grantOf(seen, 'I#all-or-nothing');
    const stale = grantOf({ ...seen, generation: seen.generation - 1 }, 'I#all-or-nothing');
    expect(await core.store.grant(stale)).toEqual({ type: 'sandbox_lost' });
    expect(await hasKey('I#all-or-nothing')).toBe(false);
    expect(await core.store.grant(grant)).toEqual({ type: 'granted' });
    expect(await core.store.get(seen.id)).toEqual(grant.next);
    expect(await hasKey('I#all-or-nothing')).toBe(true);
    const events = (await readTable(core.client)).filter(({ pk }) => pk === `H#${seen.id}`);
    expect(events.map(({ from_status, to_status }) => [from_status, to_status])).toEqual([
      [undefined, 'available'],
      ['available', 'allocated'],
    ]);
  });

  test('are not granted to a key that has a lease, and the lease is told', async () => {
    const first = await leased('I#taken');
    const another = await newSandbox();
    const outcome = await core.store.grant(grantOf(another, 'I#taken', 'another attempt'));
    expect(outcome).toMatchObject({
      type: 'key_taken',
      record: { sandboxId: first.id, leaseId: first.lease.leaseId, attempt: 'attempt' },
    });
    expect(await core.store.get(another.id)).toEqual(another);
  });

  test('are granted to a key whose lease is over, to the second', async () => {
    const { lease } = await leased('I#lapsing');
    const another = await newSandbox();
    const untilReclaim = lease.reclaimAt - core.clock.nowMs() / 1000;
    core.clock.advanceSeconds(untilReclaim - 1);
    expect(await core.store.grant(grantOf(another, 'I#lapsing'))).toMatchObject({ type: 'key_taken' });
    core.clock.advanceSeconds(1);
    expect(await core.store.grant(grantOf(another, 'I#lapsing'))).toEqual({ type: 'granted' });
  });

  test.for([
    [['TransactionConflict', 'None', 'None'], 'key_conflict'],
    [['None', 'TransactionConflict', 'None'], 'sandbox_conflict'],
    [['None', 'None', 'TransactionConflict'], 'sandbox_conflict'],
    [['TransactionConflict', 'ConditionalCheckFailed', 'None'], 'key_conflict'],
    [['None', 'ConditionalCheckFailed', 'TransactionConflict'], 'sandbox_lost'],
  ] as const)('tell what a cancellation means: %j', async ([codes, type]) => {
    const grant = grantOf(await newSandbox(), `I#${codes.join()}`);
    faults.next(
      'TransactWriteItems',
      failWith(() => cancelled(...codes)),
    );
    expect(await core.store.grant(grant)).toEqual({ type });
  });

  test('pass on a cancellation that nobody expects, as it is', async () => {
    const grant = grantOf(await newSandbox(), 'I#unexpected');
    faults.next(
      'TransactWriteItems',
      failWith(() => cancelled('None', 'ItemCollectionSizeLimitExceeded', 'None')),
    );
    await expect(core.store.grant(grant)).rejects.toThrow('ItemCollectionSizeLimitExceeded');
    faults.next(
      'TransactWriteItems',
      failWith(() => refused('AccessDeniedException')),
    );
    await expect(core.store.grant(grant)).rejects.toThrow('AccessDeniedException');
  });

  test('are written by one of two who have read the same', async () => {
    const seen = await newSandbox();
    const one = describeAs(seen, { name: 'one', externalId: 'x', metadata: {} }, core.clock.nowMs());
    const two = describeAs(seen, { name: 'two', externalId: 'x', metadata: {} }, core.clock.nowMs());
    const answers = await Promise.all([one, two].map((next) => core.store.write({ seen, next })));
    expect(answers.filter((written) => written)).toHaveLength(1);
    expect((await core.store.get(seen.id))?.name).toBe(answers[0] ? 'one' : 'two');
  });

  test('are made new once', async () => {
    const sandbox = await newSandbox();
    expect(await core.store.write({ seen: undefined, next: sandbox })).toBe(false);
    expect(
      await core.store.write({ seen: undefined, next: sandbox, event: eventTo(undefined, sandbox) }),
    ).toBe(false);
  });

  test('give their key free with the lease, in one transaction', async () => {
    const seen = await leased('I#released');
    const next = requestDeletion(seen, core.clock.nowMs());
    faults.next(
      'TransactWriteItems',
      failWith(() => cancelled('None', 'None', 'ItemCollectionSizeLimitExceeded')),
      // In company, and alone.
      { times: 2 },
    );
    await expect(core.store.write({ seen, next, event: eventTo(seen, next) })).rejects.toThrow();
    expect(await hasKey('I#released')).toBe(true);
    expect(await core.store.write({ seen, next, event: eventTo(seen, next) })).toBe(true);
    expect(await hasKey('I#released')).toBe(false);
  });

  test('leave the key where it is when it belongs to a later lease by now', async () => {
    const seen = await leased('I#moved-on');
    core.clock.advanceSeconds(2 * HOUR_SECONDS);
    const later = await leased('I#moved-on');
    const next = requestDeletion(seen, core.clock.nowMs());
    expect(await core.store.write({ seen, next, event: eventTo(seen, next) })).toBe(true);
    expect(await core.store.get(seen.id)).toEqual(next);
    expect(await core.client.get({ pk: 'I#moved-on', sk: 'I' })).toMatchObject({
      lease_id: later.lease.leaseId,
    });
  });

  test('end their lease when TTL has taken the key already', async () => {
    const seen = await leased('I#lapsed');
    await core.client.delete({ Key: { pk: 'I#lapsed', sk: 'I' } });
    const next = requestDeletion(seen, core.clock.nowMs());
    expect(await core.store.write({ seen, next, event: eventTo(seen, next) })).toBe(true);
  });

  test('are not written while a conflict does not end: whoever asked reads again and decides again', async () => {
    const seen = await newSandbox();
    const next = describeAs(seen, { name: 'n', externalId: 'x', metadata: {} }, core.clock.nowMs());
    faults.next(
      'TransactWriteItems',
      failWith(() => cancelled('TransactionConflict', 'None')),
      {
        times: Number.POSITIVE_INFINITY,
      },
    );
    const sent = () => faults.calls.filter(({ operation }) => operation === 'TransactWriteItems').length;
    const before = sent();
    expect(await core.store.write({ seen, next, event: eventTo(seen, next) })).toBe(false);
    // It is free, and goes through the line, whose one record has more than its share of conflicts.
    expect(sent() - before).toBe(41);
  });

  test('are written many at a time, and those that somebody changed meanwhile are left out', async () => {
    const seen = await Promise.all(Array.from({ length: 70 }, () => newSandbox()));
    const changes = seen.map((each) => {
      const next = describeAs(
        each,
        { name: `new ${each.id}`, externalId: 'x', metadata: {} },
        core.clock.nowMs(),
      );
      return { seen: each, next, event: eventTo(each, next) };
    });
    const lost = [changes[0]!, changes[40]!];
    for (const change of lost) expect(await core.store.write(change)).toBe(true);
    const before = faults.calls.length;
    const written: typeof changes = [];
    const onSettled = (change: Change, isWritten: boolean) => {
      if (isWritten) written.push(...changes.filter((each) => each === change));
    };
    expect(await core.store.writeAll(changes, { onSettled })).toBe(68);
    expect(written).toEqual(changes.filter((change) => !lost.includes(change)));
    // Both were in the first transaction, of 49 with their events and the line's record; the other one was undisturbed.
    const transactions = faults.calls
      .slice(before)
      .filter(({ operation }) => operation === 'TransactWriteItems');
    expect(transactions).toHaveLength(2 + 49);
    const names = new Set((await readTable(core.client)).map(({ name }) => name));
    expect(changes.filter(({ next }) => !names.has(next.name))).toEqual([]);
  });

  test('are written many at a time with their keys, within the limit of a transaction', async () => {
    const seen = await Promise.all(Array.from({ length: 34 }, (_, i) => leased(`I#many-${i}`)));
    const changes = seen.map((each) => {
      const next = requestDeletion(each, core.clock.nowMs());
      return { seen: each, next, event: eventTo(each, next) };
    });
    expect(await core.store.writeAll(changes)).toBe(34);
    expect(await hasKey('I#many-0')).toBe(false);
    expect(await hasKey('I#many-33')).toBe(false);
  });
});

describeOnEngines('a key that moved on to a later lease', ({ endpoint }) => {
  test('stays with the later lease when the earlier one is expired', async () => {
    const core = await startCore(endpoint, { poolSize: 2 });
    const allocateOne = () => core.useCases.allocateSandbox({ principal: 'track', holder: 'h' }, context());
    const first = await allocateOne();
    core.clock.advanceSeconds(5 * HOUR_SECONDS);
    const second = await allocateOne();
    expect(second.replayed).toBe(false);
    expect(second.lease.sandboxId).not.toBe(first.lease.sandboxId);
    expect(await core.work.expire(context())).toMatchObject({ marked: 1, skipped: 0 });
    expect(await allocateOne()).toEqual({ ...second, replayed: true });
    expect(await auditLeases(core.client)).toMatchObject([{ sandboxId: second.lease.sandboxId }]);
    core.close();
  });
});
