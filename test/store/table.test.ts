import { CreateTableCommand, DescribeTimeToLiveCommand } from '@aws-sdk/client-dynamodb';
import { expect, onTestFinished, test } from 'vitest';
import type { StoreClient } from '../../src/store/dynamo/client.ts';
import { LAYOUT_KEY } from '../../src/store/sandboxes/keys.ts';
import { openTable, TableError, tableDefinition } from '../../src/store/table.ts';
import { createCountingClient, uniqueTable } from '../support/broker/core.ts';
import { describeOnEngines } from '../support/store/engines.ts';
import {
  connectionReset,
  failWith,
  holdAnswers,
  injectFaults,
  loseAnswer,
  refused,
} from '../support/store/injected-faults.ts';
import { readTable } from '../support/store/table-audit.ts';
import { until } from '../support/until.ts';

describeOnEngines('the table', ({ endpoint }) => {
  function connect(table = uniqueTable()): StoreClient {
    const { client } = createCountingClient(endpoint, table);
    onTestFinished(() => client.close());
    return client;
  }

  const open = (client: StoreClient, { buckets = 16, create = true } = {}) =>
    openTable(client, { buckets, create }, AbortSignal.timeout(20_000));

  const layoutsIn = async (client: StoreClient) =>
    (await readTable(client)).filter((item) => item.pk === LAYOUT_KEY.pk);

  async function expectTimeToLive({ raw, table }: StoreClient): Promise<void> {
    const { TimeToLiveDescription } = await raw.send(new DescribeTimeToLiveCommand({ TableName: table }));
    expect(TimeToLiveDescription).toMatchObject({ AttributeName: 'ttl', TimeToLiveStatus: 'ENABLED' });
  }

  const expectSentence = async (opening: Promise<void>, sentence: string) => {
    const error = await opening.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TableError);
    expect(error).toHaveProperty('message', sentence);
  };

  test('is created with its layout and its time to live, and opened again as it is', async () => {
    const client = connect();
    await open(client);
    await expectTimeToLive(client);
    await open(client);
    await open(client, { create: false });
    expect(await layoutsIn(client)).toEqual([
      { ...LAYOUT_KEY, buckets: 16, schema_version: 1, keeps_stock: true },
    ]);
  });

  test('is created once by replicas that start at the same moment', async () => {
    const table = uniqueTable();
    const replicas = [connect(table), connect(table), connect(table), connect(table)];
    await Promise.all(replicas.map((client) => open(client)));
    expect(await layoutsIn(replicas[0]!)).toHaveLength(1);
  });

  test('is waited for by a replica that finds it created between its look and its own attempt', async () => {
    const table = uniqueTable();
    const [late, early] = [connect(table), connect(table)];
    const look = holdAnswers();
    injectFaults(late).next('DescribeTable', look.fault);
    const opening = open(late);
    await until(() => look.waiting === 1, { what: 'the late one has looked' });
    await open(early);
    look.release();
    await opening;
    expect(await layoutsIn(late)).toHaveLength(1);
  });

  test('that is not there is refused with a sentence where it may not be created', async () => {
    const client = connect();
    await expectSentence(
      open(client, { create: false }),
      `The table ${client.table} does not exist. Create it, or set DDB_CREATE_TABLE=true to let the broker do it.`,
    );
  });

  test('that was laid out with other buckets is refused with a sentence, and left as it is', async () => {
    const client = connect();
    await open(client, { buckets: 8 });
    await expectSentence(
      open(client, { buckets: 16 }),
      `The table ${client.table} was laid out with 8 buckets, DDB_BUCKETS says 16: set it to 8.`,
    );
    await open(client, { buckets: 8 });
  });

  test('of another schema version is refused with a sentence', async () => {
    const client = connect();
    await open(client);
    await client.put({ Item: { ...LAYOUT_KEY, buckets: 16, schema_version: 2 } });
    await expectSentence(
      open(client),
      `The table ${client.table} has schema version 2, this broker reads version 1.`,
    );
  });

  test('with a layout that was bent by hand is refused, and the field is named', async () => {
    const client = connect();
    await open(client);
    await client.put({ Item: { ...LAYOUT_KEY, buckets: 'many', schema_version: 1 } });
    await expect(open(client)).rejects.toThrow(/"buckets"/);
  });

  test.for([
    ['by_due', ['by_status']],
    ['by_status', ['by_due']],
    ['by_status and by_due', []],
  ] as const)('without the index %s is refused with a sentence', async ([missing, present]) => {
    const client = connect();
    const { LocalSecondaryIndexes, AttributeDefinitions, ...definition } = tableDefinition(client.table);
    const indexes = LocalSecondaryIndexes.filter(({ IndexName }) =>
      present.some((name) => name === IndexName),
    );
    const used = ['pk', 'sk', ...present.map((name) => name.replace('by_', '').concat('_key'))];
    await client.raw.send(
      new CreateTableCommand({
        ...definition,
        AttributeDefinitions: AttributeDefinitions.filter(({ AttributeName }) =>
          used.includes(AttributeName),
        ),
        ...(indexes.length > 0 && { LocalSecondaryIndexes: indexes }),
      }),
    );
    await expectSentence(
      open(client),
      `The table ${client.table} has no local index ${missing}. Local indexes exist from creation on: choose another DDB_TABLE_NAME.`,
    );
  });

  test('is opened through throttles, cut connections and lost answers', async () => {
    const client = connect();
    const faults = injectFaults(client);
    faults.next(
      'DescribeTable',
      failWith(() => refused('ThrottlingException')),
    );
    faults.next('DescribeTable', failWith(connectionReset));
    faults.next('PutItem', loseAnswer);
    await open(client);
    expect(faults.left).toBe(0);
    expect(await layoutsIn(client)).toHaveLength(1);
  });

  test('is created though the answers to the creation were lost', async () => {
    const client = connect();
    const faults = injectFaults(client);
    faults.next('CreateTable', loseAnswer);
    faults.next('UpdateTimeToLive', loseAnswer);
    await open(client);
    expect(faults.left).toBe(0);
    expect(await layoutsIn(client)).toHaveLength(1);
    await expectTimeToLive(client);
  });

  test('gets its time to live from the next to open it when its creator ended too early', async () => {
    const client = connect();
    await client.raw.send(new CreateTableCommand(tableDefinition(client.table)));
    await open(client);
    await expectTimeToLive(client);
  });

  test('gets its time to live though another replica is faster', async () => {
    const table = uniqueTable();
    const [late, early] = [connect(table), connect(table)];
    const look = holdAnswers();
    const faults = injectFaults(late);
    faults.next('DescribeTimeToLive', look.fault);
    // As AWS answers where it is enabled already; the local engines take it again.
    faults.next(
      'UpdateTimeToLive',
      failWith(() => refused('ValidationException')),
    );
    const opening = open(late);
    await until(() => look.waiting === 1, { what: 'the late one has looked' });
    await open(early);
    look.release();
    await opening;
    expect(faults.left).toBe(0);
    await expectTimeToLive(late);
  });

  test('is refused when it cannot get its time to live', async () => {
    const client = connect();
    const notAllowed = failWith(() => refused('AccessDeniedException'));
    injectFaults(client).next('UpdateTimeToLive', notAllowed);
    await expect(open(client)).rejects.toThrow('AccessDeniedException');
  });

  test('is not waited for when nobody answers: the start ends with the store out of reach', async () => {
    const { client } = createCountingClient('http://127.0.0.1:9', uniqueTable());
    onTestFinished(() => client.close());
    await expect(open(client)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });
});
