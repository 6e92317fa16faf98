import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { ConditionFailedError, TransactionCancelledError } from '../../../src/store/dynamo/errors.ts';
import { uniqueTable } from '../../support/broker/core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { BROKEN_ANSWERS, startBrokenLine } from '../broken-line.ts';
import {
  ACCESS_KEY_ID,
  clientsOf,
  expectUnavailable,
  key,
  put,
  SECRET_ACCESS_KEY,
  TRIES,
} from './client-steps.ts';

describeOnFastEngine('the store client', ({ endpoint }) => {
  const { table, connect, startProxy } = clientsOf(endpoint);

  test('tells of every call that was sent, by its name and how it ended', async () => {
    const { client, observed } = connect();
    const isNew = { ConditionExpression: 'attribute_not_exists(pk)' };
    await client.put({ Item: key('told') });
    await client.put({ Item: key('told'), ...isNew }).catch(() => undefined);
    await client.query({
      KeyConditionExpression: 'pk = :pk',
      ExpressionAttributeValues: { ':pk': 'told' },
    });
    await client.update({ Key: key('told'), UpdateExpression: 'REMOVE nothing' });
    await client
      .transact([{ Put: { TableName: table, Item: key('told'), ...isNew } }])
      .catch(() => undefined);
    await client.delete({ Key: key('told') });
    expect(observed.map(({ operation, outcome }) => `${operation} ${outcome}`)).toEqual([
      'PutItem success',
      'PutItem ConditionalCheckFailedException',
      'Query success',
      'UpdateItem success',
      'TransactWriteItems TransactionCanceledException',
      'DeleteItem success',
    ]);
  });

  test('never lets a ClientRequestToken leave, and always reads what is there now', async () => {
    const line = await startBrokenLine(endpoint, BROKEN_ANSWERS['a cut instead of it']!);
    const { client } = connect({ endpoint: line.endpoint });
    line.breakNext(1);
    await client.transact([{ Put: { TableName: table, Item: key('token') } }]);
    await client.get(key('token'));
    await client.query({ KeyConditionExpression: 'pk = :pk', ExpressionAttributeValues: { ':pk': 'token' } });
    const [first, again, get, query] = line.requests;
    expect(again).toEqual(first);
    expect(first).not.toHaveProperty('ClientRequestToken');
    expect(get).toHaveProperty('ConsistentRead', true);
    expect(query).toHaveProperty('ConsistentRead', true);
  });

  test('gives the item that made a condition fail', async () => {
    const { client } = connect();
    const isNew = {
      ConditionExpression: 'attribute_not_exists(pk)',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
    };
    await put(client, 'taken', { by: 'first', at: 7 });
    const single = await client.put({ Item: key('taken'), ...isNew }).catch((error: unknown) => error);
    expect(single).toBeInstanceOf(ConditionFailedError);
    expect(single).toHaveProperty('item', { ...key('taken'), by: 'first', at: 7 });
    const together = await client
      .transact([
        { Put: { TableName: table, Item: key('untouched'), ...isNew } },
        { Put: { TableName: table, Item: key('taken'), ...isNew } },
      ])
      .catch((error: unknown) => error);
    expect(together).toBeInstanceOf(TransactionCancelledError);
    expect(together).toHaveProperty('reasons', [
      { code: 'None', item: undefined },
      { code: 'ConditionalCheckFailed', item: { ...key('taken'), by: 'first', at: 7 } },
    ]);
    expect(await client.get(key('untouched'))).toBeUndefined();
  });

  test('passes on what it does not expect, as it is and at once', async () => {
    const { client, observed } = connect();
    const error = await client
      .update({ Key: key('x'), UpdateExpression: 'NONSENSE' })
      .catch((reason) => reason);
    expect(error).toHaveProperty('name', 'ValidationException');
    expect(observed).toHaveLength(1);
  });

  test('takes a store without its table for one that is away', async () => {
    const { client } = connect({ table: uniqueTable() });
    await expectUnavailable(client.get(key('x')));
  });

  test('shows no secret in any error', async () => {
    const proxy = await startProxy();
    await proxy.behave({ kind: 'refuse' });
    const line = await startBrokenLine(endpoint, BROKEN_ANSWERS['half of it as if it were all']!);
    line.breakNext(TRIES);
    const { client } = connect();
    const failures: Promise<unknown>[] = [
      connect({ endpoint: proxy.endpoint }).client.get(key('there')),
      connect({ endpoint: line.endpoint }).client.get(key('there')),
      client.update({ Key: key('x'), UpdateExpression: 'NONSENSE' }),
      client.put({ Item: key('there'), ConditionExpression: 'attribute_not_exists(pk)' }),
      client.get(key('there'), AbortSignal.abort()),
    ];
    for (const failure of await Promise.allSettled(failures)) {
      if (failure.status === 'fulfilled') throw new Error('that should have failed');
      const everything = inspect(failure.reason, { depth: 20, showHidden: true });
      expect(everything).not.toContain(SECRET_ACCESS_KEY);
      // What a logger writes: not the request that was signed.
      const shown = inspect(failure.reason, { depth: 20 });
      expect(shown).not.toContain(ACCESS_KEY_ID);
      expect(shown).not.toMatch(/Signature=/);
    }
  });
});
