import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { StoreUnavailableError } from '../../src/domain/errors.ts';
import { TransactionCancelledError } from '../../src/store/dynamo/errors.ts';
import { openTable } from '../../src/store/table.ts';
import { createCountingClient, uniqueTable } from './broker/core.ts';
import { type DynamoProxy, startDynamoProxy } from './dynamo-proxy.ts';
import { describeOnFastEngine } from './store/engines.ts';
import { until } from './until.ts';

describeOnFastEngine('the proxy that refuses as DynamoDB does', ({ endpoint }) => {
  let proxy: DynamoProxy;
  let client: ReturnType<typeof createCountingClient>['client'];

  beforeEach(async () => {
    proxy = await startDynamoProxy(endpoint);
    client = createCountingClient(proxy.endpoint, uniqueTable()).client;
    onTestFinished(async () => {
      client.close();
      await proxy.close();
    });
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(60_000));
    proxy.clearCounts();
  });

  const putOf = (pk: string) => ({ Put: { TableName: client.table, Item: { pk, sk: 'x' } } });
  const transact = (...pks: string[]) => client.transactOnce(pks.map(putOf));
  const codesOf = async (calling: Promise<void>): Promise<string[]> => {
    const error = await calling.then(
      () => undefined,
      (reason) => reason,
    );
    expect(error).toBeInstanceOf(TransactionCancelledError);
    return error.reasons.map(({ code }: { code: string }) => code);
  };

  test('passes reads and writes, and counts them', async () => {
    await client.put({ Item: { pk: 'a', sk: 'x' } });
    await transact('b', 'c');
    expect(await client.get({ pk: 'c', sk: 'x' })).toBeDefined();
    expect(proxy.counts).toMatchObject({
      calls: 3,
      reads: 1,
      transactions: 1,
      throttled: 0,
      conflicts: 0,
      lost: 0,
    });
  });

  test('names the items of the partition that has no units left, and writes none of the transaction', async () => {
    // Two units for each item of a transaction.
    proxy.limitThroughput({ partition: (pk) => (pk === 'full' ? 1 : undefined) });
    expect(await codesOf(transact('a', 'full', 'b'))).toEqual(['None', 'ThrottlingError', 'None']);
    expect(await client.get({ pk: 'a', sk: 'x' })).toBeUndefined();
    await transact('a', 'b');
    expect(proxy.counts).toMatchObject({ transactions: 2, throttled: 1 });
  });

  test('names the items beyond what the table takes, and refuses a single write as a whole', async () => {
    proxy.limitThroughput({ table: 5 });
    expect(await codesOf(transact('a', 'b', 'c'))).toEqual(['None', 'None', 'ThrottlingError']);
    proxy.limitThroughput({ table: 0.5 });
    await expect(client.put({ Item: { pk: 'a', sk: 'x' } }, AbortSignal.timeout(300))).rejects.toThrow(
      StoreUnavailableError,
    );
  });

  test('lets transactions that are under way together on one item meet', async () => {
    proxy.setLatency({ read: () => 0, write: () => 0, transaction: () => 200 });
    const first = transact('a', 'b');
    await until(() => proxy.counts.transactions === 1, { what: 'the first is under way' });
    expect(await codesOf(transact('b', 'c'))).toEqual(['TransactionConflict', 'None']);
    await first;
    await transact('b', 'c');
    expect(proxy.counts.conflicts).toBe(1);
  });

  test('carries out what its caller does not wait for any more', async () => {
    proxy.setLatency({ read: () => 0, write: () => 300, transaction: () => 0 });
    await expect(client.put({ Item: { pk: 'late', sk: 'x' } }, AbortSignal.timeout(50))).rejects.toThrow();
    expect(await client.get({ pk: 'late', sk: 'x' })).toBeUndefined();
    await expect.poll(() => client.get({ pk: 'late', sk: 'x' })).toBeDefined();
  });

  test.for([
    ['carried out', { lostAnswers: 1 }, true],
    ['not carried out', { lostCalls: 1 }, false],
  ] as const)('never answers what is lost, %s', async ([, troubles, isCarriedOut]) => {
    proxy.setTroubles(troubles);
    await expect(client.put({ Item: { pk: 'lost', sk: 'x' } }, AbortSignal.timeout(200))).rejects.toThrow(
      StoreUnavailableError,
    );
    expect(proxy.counts.lost).toBe(1);
    proxy.setTroubles({});
    const isThere = async () => (await client.get({ pk: 'lost', sk: 'x' })) !== undefined;
    await expect.poll(isThere).toBe(isCarriedOut);
  });

  test('loses the part of the calls that it is told to, and answers another part late', async () => {
    proxy.setTroubles({ lateAnswers: 0.5, lateMs: 20 });
    await Promise.all(Array.from({ length: 100 }, () => client.get({ pk: 'any', sk: 'x' })));
    expect(proxy.counts.late).toBeGreaterThan(25);
    expect(proxy.counts.late).toBeLessThan(75);
    expect(proxy.counts).toMatchObject({ calls: 100, lost: 0 });
  });
});
