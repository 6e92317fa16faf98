import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Key, StoreClient } from '../../../src/store/dynamo/client.ts';
import { gatherReads } from '../../../src/store/dynamo/gathered-reads.ts';
import { openTable } from '../../../src/store/table.ts';
import { type CallLog, createCountingClient, uniqueTable } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { failWith, injectFaults, refusedForGood } from '../../support/store/injected-faults.ts';

describeOnEngines('reads by key', ({ endpoint }) => {
  let client: StoreClient;
  let calls: CallLog;
  const keys: Key[] = Array.from({ length: 120 }, (_, number) => ({
    pk: `P#${number % 7}`,
    sk: `${number}`,
  }));
  beforeAll(async () => {
    ({ client, calls } = createCountingClient(endpoint, uniqueTable()));
    await openTable(client, { buckets: 4, create: true }, AbortSignal.timeout(60_000));
    for (const [number, key] of keys.entries()) await client.put({ Item: { ...key, number } });
  });
  afterAll(() => client.close());

  const read = async (wanted: readonly Key[]) => {
    calls.clear();
    const { get } = gatherReads(client);
    return (await Promise.all(wanted.map((key) => get(key)))).map((item) => item?.['number']);
  };

  test('are one call where they come at once, each with its own answer', async () => {
    const absent = { pk: 'P#0', sk: 'none' };
    expect(await read([keys[3], absent, keys[8], keys[3]] as Key[])).toEqual([3, undefined, 8, 3]);
    expect([calls.count('BatchGetItem'), calls.count()]).toEqual([1, 1]);
    expect(await read(keys)).toEqual(keys.map((_key, number) => number));
    expect(calls.count()).toBe(2);
    expect(await read(keys.slice(0, 1))).toEqual([0]);
    expect(calls.count('GetItem')).toBe(1);
  });

  test('go on for the others when one gives up, and fail together where the store does', async () => {
    const { get } = gatherReads(client);
    const leaving = new AbortController();
    const left = get(keys[1] as Key, leaving.signal);
    const stays = get(keys[2] as Key);
    leaving.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    expect(await stays).toMatchObject({ number: 2 });
    injectFaults(client).next('BatchGetItem', failWith(refusedForGood));
    const both = await Promise.allSettled([get(keys[1] as Key), get(keys[2] as Key)]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});
