import { expect, onTestFinished, test } from 'vitest';
import { openTable } from '../../src/store/table.ts';
import { createCountingClient, uniqueTable } from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { failWith, injectFaults, refused } from '../support/store/injected-faults.ts';
import { until } from '../support/until.ts';

describeOnFastEngine("the store client's retries", ({ endpoint }) => {
  async function start() {
    const retries: [operation: string, attempt: number, error: string, waitMs: number][] = [];
    const { client, calls } = createCountingClient(endpoint, uniqueTable(), {
      onRetry: (operation, attempt, error, waitMs) =>
        retries.push([operation, attempt, error instanceof Error ? error.name : '', waitMs]),
    });
    onTestFinished(() => client.close());
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(60_000));
    const faults = injectFaults(client);
    calls.clear();
    retries.length = 0;
    return { client, calls, faults, retries };
  }
  const throttled = failWith(() => refused('ThrottlingException'));
  const key = { pk: 'a', sk: 'b' };

  test('of a throttled call are told with their waits: 50, 100 and 200 ms, jittered', async () => {
    const { client, faults, retries } = await start();
    faults.next('GetItem', throttled, { times: 3 });
    await client.get(key);
    expect(retries.map(([operation, attempt, error]) => [operation, attempt, error])).toEqual([
      ['GetItem', 1, 'ThrottlingException'],
      ['GetItem', 2, 'ThrottlingException'],
      ['GetItem', 3, 'ThrottlingException'],
    ]);
    for (const [index, waitMs] of [50, 100, 200].entries()) {
      const told = retries[index]?.[3] ?? 0;
      expect(told).toBeGreaterThanOrEqual(waitMs * 0.5);
      expect(told).toBeLessThan(waitMs * 1.5);
    }
  });

  test('of a store that throttles go on until the time of the call is over, at growing waits', async () => {
    const { client, faults, retries } = await start();
    faults.next('GetItem', throttled, { times: Number.POSITIVE_INFINITY });
    const caller = new AbortController();
    const reading = expect(client.get(key, caller.signal)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    await until(() => retries.length === 6, {
      what: 'it was tried more often than a store that is out of reach',
    });
    caller.abort();
    await reading;
    expect(retries[5]?.[3]).toBeGreaterThanOrEqual(500);
  });

  test('are the only ones: the SDK adds none of its own', async () => {
    const { client, calls, faults } = await start();
    const outOfReach = failWith(() => refused('InternalServerError', 500));
    faults.next('GetItem', outOfReach, { times: Number.POSITIVE_INFINITY });
    await expect(client.get(key)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(faults.calls.filter(({ operation }) => operation === 'GetItem')).toHaveLength(4);
    expect(calls.count('GetItem')).toBe(4);
  });

  test('are none after a failed condition', async () => {
    const { client, calls, retries } = await start();
    await client.put({ Item: key });
    const again = client.put({ Item: key, ConditionExpression: 'attribute_not_exists(pk)' });
    await expect(again).rejects.toThrow('condition failed');
    expect(calls.count('PutItem')).toBe(2);
    expect(retries).toEqual([]);
  });
});
