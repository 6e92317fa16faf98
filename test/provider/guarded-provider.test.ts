import { describe, expect, test } from 'vitest';
import { BrokerError, shuttingDown } from '../../src/domain/errors.ts';
import { createGuardedProvider } from '../../src/provider/guarded-provider.ts';
import type { Provider } from '../../src/provider/provider.ts';
import { BreakerOpenError, createBreaker } from '../../src/safety/breaker/breaker.ts';
import {
  type AttemptReport,
  createRetry,
  type RetryPolicy,
  type RunReport,
} from '../../src/safety/retry/retry.ts';
import { createFakeClock } from '../support/broker/core.ts';
import { failureOf, list, remove, setUp as startCsp } from '../support/provider/csp-provider.ts';
import { account, uuidOf } from '../support/provider/fake-csp.ts';
import type { FakeFault } from '../support/provider/fake-csp-faults.ts';

const DOWN: FakeFault = { kind: 'respond', status: 503 };
const never = () => new AbortController().signal;

/** A CSP at the other end of a socket, behind breakers and retries whose waits take no time. */
async function setUp(policy: Partial<RetryPolicy> = {}, stopping?: AbortSignal, readTimeoutMs = 5_000) {
  const { csp, provider } = await startCsp({ readTimeoutMs });
  const clock = createFakeClock();
  const attempts: AttemptReport[] = [];
  const ends: RunReport[] = [];
  const retry = createRetry({
    wait: async () => undefined,
    onAttempt: (report) => attempts.push(report),
    onEnd: (report) => ends.push(report),
  });
  const breaker = (name: string) =>
    createBreaker({
      name,
      clock,
      rules: {
        trip: { kind: 'consecutive', failures: 5 },
        recovery: { kind: 'automatic', afterMs: 60_000 },
      },
    });
  const guarded: Provider = createGuardedProvider({
    provider,
    retry,
    listBreaker: breaker('csp_list'),
    deleteBreaker: breaker('csp_delete'),
    listPolicy: policy,
    deletePolicy: policy,
    ...(stopping && { stopping }),
  });
  const one = account();
  csp.add(one);
  const deletes = () => csp.calls.filter((call) => call.operation === 'delete').length;
  return { csp, guarded, clock, attempts, ends, id: one.id, uuid: uuidOf(one), deletes };
}

describe('a process that stops', () => {
  test('sends no delete any more, and holds that against nobody', async () => {
    const stopping = new AbortController();
    const { guarded, id, deletes } = await setUp({}, stopping.signal);
    stopping.abort(shuttingDown());
    for (let n = 0; n < 5; n++)
      await expect(remove(guarded, id)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(deletes()).toBe(0);
    // The breaker is closed still, and what only reads is answered.
    await expect(remove(guarded, id)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    expect((await list(guarded)).items).toHaveLength(1);
  });
});

describe('a call to the provider', () => {
  test('that meets a passing failure is made again', async () => {
    const { csp, guarded, id, uuid, attempts } = await setUp();
    csp.faults.add('list', DOWN);
    csp.faults.add('list', { kind: 'html' });
    expect((await list(guarded)).items).toHaveLength(1);
    csp.faults.add('delete', DOWN);
    expect(await remove(guarded, id)).toBe('destroyed');
    expect(csp.deletes.get(uuid)?.effective).toBe(1);
    expect(attempts.map(({ task, attempt }) => [task, attempt])).toEqual([
      ['csp_list', 1],
      ['csp_list', 2],
      ['csp_list', 3],
      ['csp_delete:any', 1],
      ['csp_delete:any', 2],
    ]);
  });

  test.each<[string, FakeFault]>([
    ['broke off', { kind: 'lost' }],
    ['broke off after its effect', { kind: 'lost', afterEffect: true }],
    ['hangs', { kind: 'hang' }],
    ['a gateway gave up', { kind: 'respond', status: 504 }],
  ])('to delete that %s may be under way still, and is not sent again', async (_, fault) => {
    const { csp, guarded, id, deletes } = await setUp({}, undefined, 300);
    csp.faults.add('delete', fault);
    expect(await failureOf(remove(guarded, id))).toMatchObject({ mayBeUnderWay: true });
    expect(deletes()).toBe(1);
  });

  test('to delete that was never sent is made again', async () => {
    const { guarded, csp, id, attempts } = await setUp({ retries: 1 });
    await csp.close();
    expect(await failureOf(remove(guarded, id))).toMatchObject({ kind: 'network', mayBeUnderWay: false });
    expect(attempts).toHaveLength(2);
  });

  test('to delete whose time is over by the wall clock is not made, be it the first or a retry', async () => {
    const { csp, guarded, clock, id, deletes } = await setUp();
    const endMs = clock.nowMs() + 1_000;
    const assertInTime = () => {
      if (clock.nowMs() >= endMs) throw new BrokerError('EFFECT_IN_PROGRESS', 'too late');
    };
    const sandbox = { sandboxId: 'any', externalId: String(id), name: 'any', assertInTime };
    const { promise: asleep, resolve: wake } = Promise.withResolvers<void>();
    csp.faults.add('delete', { kind: 'hold', until: asleep });
    csp.faults.add('delete', DOWN, { times: Number.POSITIVE_INFINITY });
    csp.accounts.clear();
    const first = guarded.deleteSandbox(sandbox, never());
    await csp.arrived('delete', 1);
    wake();
    expect(await first).toBe('already_gone');
    const slow = () => {
      assertInTime();
      clock.advanceSeconds(2);
    };
    const second = guarded.deleteSandbox({ ...sandbox, assertInTime: slow }, never());
    await expect(second).rejects.toThrow('too late');
    expect(deletes()).toBe(2);
    await expect(guarded.deleteSandbox(sandbox, never())).rejects.toThrow('too late');
    expect(deletes()).toBe(2);
  });

  test('shows after every attempt that it is alive', async () => {
    const { csp, guarded } = await setUp();
    csp.faults.add('list', DOWN, { times: 2 });
    let beats = 0;
    await guarded.listSandboxes(never(), () => beats++);
    expect(beats).toBe(4);
  });

  test('that is refused is not made again', async () => {
    const { csp, guarded, id, deletes } = await setUp();
    csp.faults.add('delete', { kind: 'respond', status: 422 });
    expect((await failureOf(remove(guarded, id))).kind).toBe('rejected');
    expect(deletes()).toBe(1);
  });

  test('that fails every time fails with its own last error, and a cleaner may come again', async () => {
    const { csp, guarded, id, deletes, ends } = await setUp();
    csp.faults.add('delete', DOWN, { times: Number.POSITIVE_INFINITY });
    expect(await failureOf(remove(guarded, id))).toMatchObject({ kind: 'server_error', status: 503 });
    expect(deletes()).toBe(4);
    expect(ends).toEqual([{ task: 'csp_delete:any', result: 'failed', resumable: true }]);
  });
});

describe('the breakers', () => {
  const outage = { times: Number.POSITIVE_INFINITY };

  test.each<[string, FakeFault]>([
    ['5xx', DOWN],
    ['bodies that are not JSON', { kind: 'html' }],
  ])('open after five calls in a row with %s: nothing is sent then', async (_, fault) => {
    const { csp, guarded, id, deletes } = await setUp({ retries: 0 });
    csp.faults.add('delete', fault, outage);
    for (let i = 0; i < 5; i++) await failureOf(remove(guarded, id));
    await expect(remove(guarded, id)).rejects.toThrow(BreakerOpenError);
    expect(deletes()).toBe(5);
  });

  test('count a call with all its attempts once', async () => {
    const { csp, guarded, id, deletes } = await setUp();
    csp.faults.add('delete', DOWN, outage);
    for (let i = 0; i < 4; i++) await failureOf(remove(guarded, id));
    csp.faults.clear();
    expect(await remove(guarded, id)).toBe('destroyed');
    expect(deletes()).toBe(17);
  });

  test('are not opened by deletes of what is gone, nor by refusals', async () => {
    const { csp, guarded, id } = await setUp();
    for (let i = 0; i < 10; i++) expect(await remove(guarded, 'accounts/nobody')).toBe('already_gone');
    csp.faults.add('delete', { kind: 'respond', status: 400 }, { times: 10 });
    for (let i = 0; i < 10; i++) await failureOf(remove(guarded, id));
    expect(await remove(guarded, id)).toBe('destroyed');
  });

  test('of listing and of deleting are two', async () => {
    const { csp, guarded, id } = await setUp({ retries: 0 });
    csp.faults.add('delete', DOWN, outage);
    for (let i = 0; i < 5; i++) await failureOf(remove(guarded, id));
    expect((await list(guarded)).items).toHaveLength(1);
  });

  test('close again with one probe that is answered', async () => {
    const { csp, guarded, id, clock, deletes } = await setUp({ retries: 0 });
    csp.faults.add('delete', DOWN, { times: 5 });
    for (let i = 0; i < 5; i++) await failureOf(remove(guarded, id));
    clock.advanceSeconds(60);
    const ends = await Promise.allSettled(Array.from({ length: 5 }, () => remove(guarded, id)));
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(deletes()).toBe(6);
    expect(await remove(guarded, id)).toBe('already_gone');
  });

  test('count a far side that hangs until the deadline, as the time-out it is', async () => {
    const { csp, guarded, id } = await setUp({ totalMs: 30 });
    csp.faults.add('delete', { kind: 'hang' }, outage);
    for (let i = 0; i < 5; i++) expect((await failureOf(remove(guarded, id))).kind).toBe('timeout');
    await expect(remove(guarded, id)).rejects.toThrow(BreakerOpenError);
  });

  test('do not count callers that give up', async () => {
    const { csp, guarded, id, ends } = await setUp();
    csp.faults.add('delete', { kind: 'hang' }, { times: 6 });
    for (let i = 1; i <= 6; i++) {
      const caller = new AbortController();
      const call = failureOf(remove(guarded, id, caller.signal));
      await csp.arrived('delete', i);
      caller.abort();
      expect((await call).kind).toBe('aborted');
    }
    expect(ends.map(({ result }) => result)).toEqual(Array(6).fill('aborted'));
    expect(await remove(guarded, id, never())).toBe('destroyed');
  });

  test('a call that was given up before it began is an error of the provider like any other', async () => {
    const { guarded } = await setUp();
    expect((await failureOf(list(guarded, AbortSignal.abort()))).kind).toBe('aborted');
  });
});
