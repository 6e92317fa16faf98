import { createServer, type IncomingHttpHeaders } from 'node:http';
import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { expect, onTestFinished, test } from 'vitest';
import { createStoreClient } from '../../../src/store/dynamo/client.ts';
import { LOCAL_CREDENTIALS } from '../../support/broker/core.ts';
import { listenForTest } from '../../support/listen.ts';

/** What the store's client has no use for, whatever the SDK's next version calls it. */
const UNUSED = /logger|user-?agent|recursion/i;
const ABOUT_ITSELF = /^(user-agent|x-amz-user-agent|amz-sdk-.*|x-amzn-trace-id)$/;

/** What one read sends in its head, and by which steps it went. */
async function sent(connect: (endpoint: string) => { raw: DynamoDBClient; read(): Promise<unknown> }) {
  const heads: IncomingHttpHeaders[] = [];
  const endpoint = await listenForTest(
    createServer((request, response) => {
      heads.push(request.headers);
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end('{"TableNames":[]}');
    }),
  );
  const { raw, read } = connect(endpoint);
  onTestFinished(() => raw.destroy());
  await read();
  const steps = raw.middlewareStack.identify().map((each) => each.split(' - ')[0] ?? '');
  return {
    headers: Object.keys(heads[0] ?? {}).filter((name) => ABOUT_ITSELF.test(name)),
    unused: steps.filter((name) => UNUSED.test(name)),
    steps: steps.filter((name) => !UNUSED.test(name)),
  };
}

test('the SDK’s own log, retries and words about itself are out of the way of a call, and all else is as it was', async () => {
  const ours = await sent((endpoint) => {
    const { raw, get } = createStoreClient({
      endpoint,
      region: 'local',
      credentials: LOCAL_CREDENTIALS,
      table: 'any',
    });
    return { raw, read: () => get({ pk: 'a', sk: 'b' }) };
  });
  const plain = await sent((endpoint) => {
    const raw = new DynamoDBClient({ endpoint, region: 'local', credentials: LOCAL_CREDENTIALS });
    return { raw, read: () => raw.send(new ListTablesCommand()) };
  });
  expect({ headers: ours.headers, unused: ours.unused }).toEqual({ headers: [], unused: [] });
  expect(ours.steps).toEqual(expect.arrayContaining(plain.steps));
  // It is still there to be left out: else this test, and what it is about, could go.
  expect(plain.unused.length).toBe(3);
  expect(plain.headers.length).toBeGreaterThan(2);
});
