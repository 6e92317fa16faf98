import {
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';

/** A table of keys and values, for tests about the way to an engine and not about the broker's records. */
export interface KeyValueTable {
  create(): Promise<void>;
  put(key: string, value: string): Promise<void>;
  get(key: string): Promise<string | undefined>;
  close(): void;
}

/** Calls are tried once, so that a test sees every failure. */
export function keyValueTable(endpoint: string, name: string): KeyValueTable {
  const client = new DynamoDBClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  return {
    async create() {
      await client.send(
        new CreateTableCommand({
          TableName: name,
          BillingMode: 'PAY_PER_REQUEST',
          AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
          KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        }),
      );
      await waitUntilTableExists({ client, minDelay: 1, maxWaitTime: 10 }, { TableName: name });
    },
    async put(key, value) {
      await client.send(
        new PutItemCommand({ TableName: name, Item: { pk: { S: key }, value: { S: value } } }),
      );
    },
    async get(key) {
      const command = new GetItemCommand({ TableName: name, Key: { pk: { S: key } }, ConsistentRead: true });
      return (await client.send(command)).Item?.['value']?.S;
    },
    close: () => client.destroy(),
  };
}
