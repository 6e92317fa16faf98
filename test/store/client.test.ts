import { getEventListeners, once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { createStoreClient, type StoreClient, type StoreClientOptions } from '../../src/store/client.ts';
import {
  ConditionFailedError,
  StoreUnavailableError,
  TransactionCancelledError,
} from '../../src/store/errors.ts';
import { openTable } from '../../src/store/table.ts';
import { uniqueTable } from '../support/core.ts';
import { describeOnFastEngine } from '../support/engines.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import {
  cancelled,
  conflicted,
  connectionReset,
  failWith,
  holdCalls,
  injectFaults,
  refused,
  timedOut,
} from '../support/injected-faults.ts';
import { until } from '../support/until.ts';

const ACCESS_KEY_ID = 'AKID-not-for-logs';
const SECRET_ACCESS_KEY = 'a-secret-that-is-nowhere-else';
/** Tries of one call, and the longest that the pauses between them take together. */
const TRIES = 4;
const LONGEST_PAUSES_MS = 525;
/** What a call may take beyond its limit, on a machine that has other things to do. */
const SLACK_MS = 3_000;

interface Observed {
  operation: string;
  outcome: string;
}

describeOnFastEngine('the store client', ({ endpoint }) => {
  const table = uniqueTable();

  function connect(more: Partial<StoreClientOptions> = {}): { client: StoreClient; observed: Observed[] } {
    const observed: Observed[] = [];
    const client = createStoreClient({
      endpoint,
      region: 'local',
      credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
      table,
      observe: (operation, outcome) => observed.push({ operation, outcome }),
      ...more,
    });
    onTestFinished(() => client.close());
    return { client, observed };
  }

  async function startProxy(): Promise<FaultProxy> {
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
    onTestFinished(() => proxy.close());
    return proxy;
  }

  const key = (pk: string) => ({ pk, sk: 'x' });
  const put = (client: StoreClient, pk: string, more: object = {}) =>
    client.put({ Item: { ...key(pk), ...more } });

  beforeAll(async () => {
    const client = createStoreClient({
      endpoint,
      region: 'local',
      credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
      table,
    });
    await openTable(client, { buckets: 1, create: true }, AbortSignal.timeout(20_000));
    await put(client, 'there', { text: 'a text that is long enough to be cut in two' });
    client.close();
  });

  test('gives up on a store that takes calls and answers none, after bounded tries', async () => {
    const proxy = await startProxy();
    await proxy.behave({ kind: 'black_hole' });
    const { client, observed } = connect({ endpoint: proxy.endpoint, callTimeoutMs: 60 });
    await within(TRIES * 60 + LONGEST_PAUSES_MS, expectUnavailable(client.get(key('there'))));
    expect(observed).toEqual(Array(TRIES).fill({ operation: 'GetItem', outcome: 'AbortError' }));
  });

  test('gives up in time, whatever the tries and the place in the queue', async () => {
    const proxy = await startProxy();
    await proxy.behave({ kind: 'black_hole' });
    const { client } = connect({
      endpoint: proxy.endpoint,
      maxConcurrentCalls: 2,
      callTimeoutMs: 60_000,
      totalTimeoutMs: 200,
    });
    const calls = Array.from({ length: 10 }, () => expectUnavailable(client.get(key('there'))));
    await within(200, Promise.all(calls));
    await proxy.behave({ kind: 'pass' });
    expect(await client.get(key('there'))).toBeDefined();
  });

  test('comes back by itself when the store does', async () => {
    const proxy = await startProxy();
    const { client, observed } = connect({ endpoint: proxy.endpoint, callTimeoutMs: 200 });
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

  const BROKEN_ANSWERS: Record<string, (answer: Buffer, response: ServerResponse) => void> = {
    'half of it, then a cut': (answer, response) => {
      response.writeHead(200, { 'content-length': answer.length });
      response.write(half(answer), () => response.destroy());
    },
    'half of it in chunks, then a cut': (answer, response) => {
      response.write(half(answer), () => response.destroy());
    },
    'half of it, then silence': (answer, response) => {
      response.writeHead(200, { 'content-length': answer.length });
      response.write(half(answer));
    },
    'half of it as if it were all': (answer, response) => {
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end(half(answer));
    },
    'half of a refusal': (_answer, response) => {
      response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' }).end('{"__type":"com.amaz');
    },
    "a proxy's page with status 200": (_answer, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Back soon</html>');
    },
    "a proxy's page with status 502": (_answer, response) => {
      response.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad gateway</html>');
    },
    'a cut instead of it': (_answer, response) => {
      response.destroy();
    },
  };

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
    const { client } = connect({ endpoint: line.endpoint, callTimeoutMs: 100 });
    line.breakNext(TRIES);
    await expectUnavailable(client.get(key('there')));
    expect(line.requests).toHaveLength(TRIES);
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

  test('gives up a call that waits for its turn as soon as its caller does', async () => {
    const { client, observed } = connect({ maxConcurrentCalls: 1 });
    const held = holdCalls();
    injectFaults(client).next('GetItem', held.fault);
    const first = client.get(key('there'));
    const caller = new AbortController();
    const second = client.get(key('there'), caller.signal);
    await until(() => held.waiting === 1, { what: 'the first call is under way' });
    caller.abort();
    await within(0, expectUnavailable(second));
    held.release();
    expect(await first).toBeDefined();
    expect(await client.get(key('there'))).toBeDefined();
    // The second was never sent.
    expect(observed).toHaveLength(2);
  });

  test('gives up a call that is under way as soon as its caller does, and takes the next', async () => {
    const proxy = await startProxy();
    const { client, observed } = connect({ endpoint: proxy.endpoint, maxConcurrentCalls: 1 });
    await proxy.behave({ kind: 'black_hole' });
    const caller = new AbortController();
    const reading = client.get(key('there'), caller.signal);
    await until(() => proxy.liveConnections === 1, { what: 'the call is under way' });
    caller.abort();
    await within(0, expectUnavailable(reading));
    await proxy.behave({ kind: 'pass' });
    expect(await client.get(key('there'))).toBeDefined();
    expect(observed.map(({ outcome }) => outcome)).toEqual(['AbortError', 'success']);
  });

  test('sends nothing for a caller who is gone already', async () => {
    const { client, observed } = connect();
    await expectUnavailable(client.get(key('there'), AbortSignal.abort()));
    expect(observed).toEqual([]);
  });

  test('has no more calls under way, and no more sockets, than it was told', async () => {
    const proxy = await startProxy();
    const { client } = connect({ endpoint: proxy.endpoint, maxConcurrentCalls: 3 });
    const held = holdCalls();
    injectFaults(client).next('GetItem', held.fault, { times: 3 });
    const reading = Promise.all(Array.from({ length: 30 }, () => client.get(key('there'))));
    await until(() => held.waiting === 3, { what: 'three calls are under way' });
    held.release();
    expect(await reading).toHaveLength(30);
    expect(proxy.liveConnections).toBeLessThanOrEqual(3);
  });

  test('leaves no listener behind on a signal that many calls share', async () => {
    const { client } = connect();
    const shared = new AbortController();
    for (let i = 0; i < 20; i++) await client.get(key('there'), shared.signal);
    expect(getEventListeners(shared.signal, 'abort')).toEqual([]);
  });

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
    const { client: nowhere } = connect({ table: uniqueTable() });
    await expect(nowhere.get(key('x'))).rejects.toHaveProperty('name', 'ResourceNotFoundException');
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

const half = (answer: Buffer): Buffer => answer.subarray(0, Math.floor(answer.length / 2));

interface BrokenLine {
  endpoint: string;
  /** The bodies of what came through, parsed. */
  requests: unknown[];
  /** Answers the next `count` requests in the broken way, after the engine has answered them. */
  breakNext(count: number): void;
}

/** Something between client and engine that passes requests and breaks answers. */
async function startBrokenLine(
  target: string,
  answerBroken: (answer: Buffer, response: ServerResponse) => void,
): Promise<BrokenLine> {
  const requests: unknown[] = [];
  let toBreak = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    requests.push(JSON.parse(body.toString()));
    const answer = await fetch(target, { method: 'POST', headers: passedOn(request.headers), body });
    const bytes = Buffer.from(await answer.arrayBuffer());
    if (toBreak === 0) {
      response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' }).end(bytes);
      return;
    }
    toBreak--;
    answerBroken(bytes, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    breakNext(count) {
      toBreak = count;
    },
  };
}

const passedOn = (headers: IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(
    ['authorization', 'content-type', 'x-amz-date', 'x-amz-target'].map((name) => [
      name,
      String(headers[name]),
    ]),
  );

async function expectUnavailable(calling: Promise<unknown>): Promise<void> {
  const error = await calling.then(
    () => 'it was answered',
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StoreUnavailableError);
  expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', retryAfterSeconds: 1 });
}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  const startedMs = performance.now();
  const result = await work;
  expect(performance.now() - startedMs).toBeLessThan(limitMs + SLACK_MS);
  return result;
}
