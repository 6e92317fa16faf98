import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import type { BreakerRules } from '../../../src/domain/resilience/breaker.ts';
import { BreakerOpenError, createBreaker } from '../../../src/safety/breaker/breaker.ts';
import type { Transition } from '../../../src/safety/breaker/shared-breaker.ts';
import { createBreakerStore } from '../../../src/store/shared/breakers.ts';
import { openTable } from '../../../src/store/table.ts';
import { createCountingClient, createFakeClock, uniqueTable } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { failWith, injectFaults, loseAnswer, refused } from '../../support/store/injected-faults.ts';

const RULES: Partial<BreakerRules> = {
  trip: { kind: 'consecutive', failures: 5 },
  recovery: { kind: 'automatic', afterMs: 60_000 },
};
const never = () => new AbortController().signal;
const down = () => Object.assign(new Error('down'), { status: 503 });

describeOnEngines('a breaker that replicas share', ({ endpoint }) => {
  /** A table, and replicas with a breaker each that is kept in it. */
  async function start(rules = RULES) {
    const clock = createFakeClock();
    const table = uniqueTable();
    const replica = () => {
      const { client, calls } = createCountingClient(endpoint, table);
      onTestFinished(() => client.close());
      const errors: unknown[] = [];
      const transitions: Transition[] = [];
      const breaker = createBreaker({
        name: 'csp_delete',
        clock,
        rules,
        store: createBreakerStore(client, clock, randomUUID),
        onTransition: (transition) => transitions.push(transition),
        onStoreError: (error) => errors.push(error),
      });
      const call = () => breaker.execute(async () => 'fine', never());
      const fail = async (times: number) => {
        const calling = Array.from({ length: times }, () =>
          breaker.execute(() => Promise.reject(down()), never()),
        );
        await Promise.allSettled(calling);
      };
      return { client, calls, breaker, errors, transitions, call, fail };
    };
    const first = replica();
    await openTable(first.client, { buckets: 1, create: true }, AbortSignal.timeout(60_000));
    return { clock, replica, first, second: replica() };
  }

  test('counts the failures of all, and is open for all', async () => {
    const { clock, first, second } = await start();
    await first.fail(3);
    await second.fail(2);
    expect(second.breaker.state()).toBe('open');
    // What was heard a moment ago is believed for a second.
    clock.advanceSeconds(1);
    await expect(first.call()).rejects.toThrow(BreakerOpenError);
    expect([...first.transitions, ...second.transitions]).toHaveLength(1);
  });

  test('loses no failure when replicas fail at the same moment', async () => {
    const rules: Partial<BreakerRules> = { ...RULES, trip: { kind: 'consecutive', failures: 50 } };
    const { clock, replica, first, second } = await start(rules);
    await Promise.all([first.fail(8), second.fail(8), replica().fail(8)]);
    clock.advanceSeconds(2);
    await first.breaker.refresh();
    expect(first.breaker.report()).toMatchObject({ failures: 24, shared: true });
  });

  test('outlives a restart', async () => {
    const { replica, first } = await start();
    await first.fail(5);
    const restarted = replica();
    await expect(restarted.call()).rejects.toThrow(BreakerOpenError);
  });

  test('lets one probe go over all replicas', async () => {
    const { clock, replica, first, second } = await start();
    await first.fail(5);
    clock.advanceSeconds(60);
    const replicas = [first, second, replica(), replica()];
    const { promise: hold, resolve: release } = Promise.withResolvers<void>();
    let probes = 0;
    const asked = replicas.flatMap(({ breaker }) =>
      [1, 2].map(() =>
        breaker.execute(async () => {
          probes++;
          await hold;
        }, never()),
      ),
    );
    const refusals = asked.map((one) => one.then(undefined, (error: unknown) => error));
    // All but the probe are answered while it is under way.
    let refusedSoFar = 0;
    for (const one of refusals) void one.then((error) => error && ++refusedSoFar === 7 && release());
    const ends = await Promise.all(refusals);
    expect(probes).toBe(1);
    expect(ends.filter((error) => error instanceof BreakerOpenError)).toHaveLength(7);
    clock.advanceSeconds(2);
    await Promise.all(replicas.map(({ breaker }) => breaker.refresh()));
    expect(replicas.map(({ breaker }) => breaker.state())).toEqual(Array(4).fill('closed'));
  });

  test("carries an operator's word to the others", async () => {
    const { clock, first, second } = await start();
    await first.breaker.override('open', 30_000);
    clock.advanceSeconds(2);
    await expect(second.call()).rejects.toThrow(BreakerOpenError);
    await first.breaker.reset();
    clock.advanceSeconds(2);
    expect(await second.call()).toBe('fine');
  });

  test('knows its own write when the answer was lost', async () => {
    const { first } = await start();
    const faults = injectFaults(first.client);
    faults.next('PutItem', loseAnswer);
    await first.fail(1);
    expect(faults.left).toBe(0);
    expect(first.breaker.report()).toMatchObject({ failures: 1, shared: true });
  });

  test('decides by itself while the store is away, and tells it afterwards', async () => {
    const { clock, first, second } = await start();
    const faults = injectFaults(first.client);
    const away = failWith(() => refused('InternalServerError', 500));
    faults.next('PutItem', away, { times: Number.POSITIVE_INFINITY });
    faults.next('GetItem', away, { times: Number.POSITIVE_INFINITY });
    await first.fail(5);
    expect(first.breaker.report()).toMatchObject({ state: 'open', shared: false });
    expect(first.errors).not.toEqual([]);
    await expect(first.call()).rejects.toThrow(BreakerOpenError);
    expect(await second.call()).toBe('fine');

    faults.clear();
    clock.advanceSeconds(6);
    await first.breaker.refresh();
    expect(first.breaker.report()).toMatchObject({ state: 'open', shared: true });
    await expect(second.call()).rejects.toThrow(BreakerOpenError);
  });

  test('costs a healthy call no more than a look at the store each second', async () => {
    const { clock, first } = await start();
    first.calls.clear();
    for (let i = 0; i < 100; i++) await first.call();
    expect(first.calls.count()).toBe(1);
    clock.advanceSeconds(1);
    await first.call();
    expect(first.calls.count()).toBe(2);
  });

  test('is kept for a week, and for ever while it waits for an operator', async () => {
    const { clock, first } = await start({ ...RULES, recovery: { kind: 'manual' } });
    const key = { pk: 'BREAKERS', sk: 'csp_delete' };
    await first.fail(1);
    expect(await first.client.get(key)).toMatchObject({ ttl: clock.nowMs() / 1000 + 7 * 86_400 });
    await first.fail(4);
    expect(await first.client.get(key)).not.toHaveProperty('ttl');
  });

  test('is as new when its record has lapsed', async () => {
    const { clock, first } = await start();
    await first.fail(5);
    await first.client.delete({ Key: { pk: 'BREAKERS', sk: 'csp_delete' } });
    clock.advanceSeconds(2);
    expect(await first.call()).toBe('fine');
    await first.fail(5);
    expect(first.breaker.report()).toMatchObject({ state: 'open', shared: true });
  });
});
