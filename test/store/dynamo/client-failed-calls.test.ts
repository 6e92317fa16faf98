import { expect, test } from 'vitest';
import { TransactionCancelledError } from '../../../src/store/dynamo/errors.ts';
import { limitTime } from '../../../src/time-limit.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import {
  cancelled,
  conflicted,
  connectionReset,
  failWith,
  injectFaults,
  refused,
  timedOut,
} from '../../support/store/injected-faults.ts';
import { until } from '../../support/until.ts';
import { BROKEN_ANSWERS, startBrokenLine } from '../broken-line.ts';
import { clientsOf, expectUnavailable, key, TRIES, within } from './client-steps.ts';

/** The longest that the pauses between the tries of one call take together. */
const LONGEST_PAUSES_MS = 525;

describeOnFastEngine('the store client', ({ endpoint }) => {
  const { table, connect, startProxy } = clientsOf(endpoint);

  test('gives up on a store that takes calls and answers none, after bounded tries', async () => {
    const proxy = await startProxy();
    await proxy.behave({ kind: 'black_hole' });
    const { client, observed } = connect({ endpoint: proxy.endpoint, callTimeoutMs: 60 });
    await within(TRIES * 60 + LONGEST_PAUSES_MS, expectUnavailable(client.get(key('there'))));
    expect(observed).toEqual(Array(TRIES).fill({ operation: 'GetItem', outcome: 'AbortError' }));
  });

  test.for([
    ['that its caller has given up', 'given_up', () => new AbortController()],
    ['whose time is over', 'AbortError', () => limitTime(50)],
  ] as const)('tells a call %s from the others', async ([, outcome, caller]) => {
    const proxy = await startProxy();
    await proxy.behave({ kind: 'black_hole' });
    const { client, observed } = connect({ endpoint: proxy.endpoint });
    const called = caller();
    const reading = expectUnavailable(client.get(key('there'), called.signal));
    await until(() => proxy.liveConnections === 1, { what: 'the call is under way' });
    if ('abort' in called) called.abort();
    await reading;
    await expect.poll(() => observed).toEqual([{ operation: 'GetItem', outcome }]);
  });

  test('comes back by itself when the store does', async () => {
    const proxy = await startProxy();
    // Long enough for a busy machine to answer the tries that follow.
    const { client, observed } = connect({ endpoint: proxy.endpoint, callTimeoutMs: 1_000 });
    await client.get(key('there'));
    await proxy.behave({ kind: 'black_hole' });
    const reading = client.get(key('there'));
    await until(() => observed.length === 2, { what: 'one try has timed out' });
    await proxy.behave({ kind: 'pass' });
    expect(await reading).toMatchObject(key('there'));
  });

  test('is told at once that nobody listens, and works when somebody does', async () => {
    const proxy = await startProxy();
    const { client, observed } = connect({ endpoint: proxy.endpoint });
    await proxy.behave({ kind: 'refuse' });
    await within(LONGEST_PAUSES_MS, expectUnavailable(client.get(key('there'))));
    expect(observed).toHaveLength(TRIES);
    await proxy.behave({ kind: 'pass' });
    expect(await client.get(key('there'))).toBeDefined();
  });

  test('asks again for all that was under way when the connections were cut', async () => {
    const proxy = await startProxy();
    const { client, observed } = connect({ endpoint: proxy.endpoint, maxConcurrentCalls: 10 });
    await proxy.behave({ kind: 'delay', delayMs: 200 });
    const reading = Promise.all(Array.from({ length: 10 }, () => client.get(key('there'))));
    await until(() => proxy.liveConnections === 10, { what: 'ten calls are under way' });
    proxy.cutConnections();
    await proxy.behave({ kind: 'pass' });
    for (const item of await reading) expect(item).toMatchObject(key('there'));
    expect(observed.filter(({ outcome }) => outcome !== 'success')).toHaveLength(10);
  });

  test.for(Object.keys(BROKEN_ANSWERS))('asks again when an answer comes as %s', async (kind) => {
    const line = await startBrokenLine(endpoint, BROKEN_ANSWERS[kind]!);
    const { client, observed } = connect({ endpoint: line.endpoint, callTimeoutMs: 300 });
    line.breakNext(2);
    expect(await client.get(key('there'))).toMatchObject({ ...key('there'), text: expect.any(String) });
    expect(observed.map(({ outcome }) => outcome === 'success')).toEqual([false, false, true]);
    line.breakNext(1);
    await client.transact([{ Put: { TableName: table, Item: key(`written ${kind}`) } }]);
    expect(await client.get(key(`written ${kind}`))).toBeDefined();
  });

  test.for(Object.keys(BROKEN_ANSWERS))('is out of reach when every answer comes as %s', async (kind) => {
    const line = await startBrokenLine(endpoint, BROKEN_ANSWERS[kind]!);
    const { client, observed } = connect({ endpoint: line.endpoint, callTimeoutMs: 100 });
    line.breakNext(TRIES);
    await expectUnavailable(client.get(key('there')));
    expect(observed).toHaveLength(TRIES);
  });

  const PASSING: [string, () => Error][] = [
    ['ThrottlingException', () => refused('ThrottlingException')],
    ['ProvisionedThroughputExceededException', () => refused('ProvisionedThroughputExceededException')],
    ['RequestLimitExceeded', () => refused('RequestLimitExceeded')],
    ['InternalServerError', () => refused('InternalServerError', 500)],
    ['ServiceUnavailable', () => refused('ServiceUnavailable', 503)],
    ['a throttled item', () => cancelled('ThrottlingError')],
    ['an item without throughput', () => cancelled('None', 'ProvisionedThroughputExceeded')],
    ['a throttled item beside a conflict', () => cancelled('TransactionConflict', 'ThrottlingError')],
    ['a time-out', timedOut],
    ['a reset connection', connectionReset],
  ];

  test.for(PASSING)('asks again after %s', async ([name, error]) => {
    const { client, observed } = connect();
    injectFaults(client).next('TransactWriteItems', failWith(error));
    await client.transact([{ Put: { TableName: table, Item: key(`after ${name}`) } }]);
    expect(observed.map(({ outcome }) => outcome)).toEqual([error().name, 'success']);
  });

  test.for([
    ['a conflict', () => cancelled('TransactionConflict')],
    ['a failed condition', () => cancelled('ConditionalCheckFailed')],
    [
      'a failed condition beside a throttled item',
      () => cancelled('ConditionalCheckFailed', 'ThrottlingError'),
    ],
    ['a write in conflict with a transaction', conflicted],
  ] as const)('leaves it to the writer to decide after %s', async ([, error]) => {
    const { client, observed } = connect();
    injectFaults(client).next('TransactWriteItems', failWith(error));
    const writing = client.transact([{ Put: { TableName: table, Item: key('undecided') } }]);
    await expect(writing).rejects.toThrow(TransactionCancelledError);
    expect(observed).toHaveLength(1);
  });
});
