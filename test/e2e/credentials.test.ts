import { createServer } from 'node:http';
import { expect, test, vi } from 'vitest';
import { PROCESS_TIMES, startBroker, startInVain } from '../support/broker/broker-process.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { listenForTest } from '../support/listen.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { temporaryFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const SECRET = 'a-secret-key-that-is-nowhere-else';
/** Soon, so that the SDK has to ask for new ones again and again. */
const EXPIRES_IN_MS = 1_000;

/** Who gives out credentials to a container, as ECS and EKS do. */
async function startCredentialSource() {
  const source = { isUp: true, asked: 0, url: '' };
  source.url = await listenForTest(
    createServer((_request, response) => {
      source.asked++;
      if (!source.isUp) return void response.writeHead(500).end();
      const Expiration = new Date(Date.now() + EXPIRES_IN_MS).toISOString();
      const given = { AccessKeyId: 'AKID', SecretAccessKey: SECRET, Token: 'a-session', Expiration };
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(given));
    }),
  );
  return source;
}

/** A broker that takes the engine for AWS, and has nothing to sign with but what `more` gives it. */
const asAws = async (endpoint: string, more: Record<string, string> = {}) => ({
  AWS_REGION: 'eu-west-1',
  AWS_ENDPOINT_URL_DYNAMODB: endpoint,
  AWS_EC2_METADATA_DISABLED: 'true',
  HOME: await temporaryFolder(),
  DDB_TABLE_NAME: uniqueTable(),
  ...more,
});

describeOnFastEngine('credentials from the chain of providers', ({ endpoint }) => {
  test('a hiccup of theirs is a 503 that says when to come back, and over when it is over', async () => {
    const source = await startCredentialSource();
    const env = await asAws(endpoint, {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: source.url,
      // The SDK asks for three seconds before it gives up, and the broker four times.
      ALLOCATE_DEADLINE_MS: '5000',
    });
    const broker = await startBroker({ env });
    await until(async () => (await broker.allocate('a')).status < 300, { what: 'the first lease' });
    source.isUp = false;
    const refused = await until(
      async () => {
        const answer = await broker.allocate('b');
        return answer.status >= 300 ? answer : undefined;
      },
      { what: 'the credentials have run out' },
    );
    expect(refused).toMatchObject({
      status: 503,
      json: { error: { code: 'STORE_UNAVAILABLE', retry_after: 1 } },
    });
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.text).not.toMatch(/credential/i);
    source.isUp = true;
    await until(async () => (await broker.allocate('c')).status === 201, {
      what: 'a lease after it',
    });
    expect(JSON.stringify(broker.logs)).not.toContain(SECRET);
  });

  test('none at the start is one sentence that says what to set', async () => {
    const { code, stderr, logs } = await startInVain({ env: await asAws(endpoint) });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^There are no credentials .*AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.*\n$/);
    expect(logs.filter(({ level }) => level === 'fatal')).toEqual([]);
  });

  test.for([
    ['UnrecognizedClientException', /^The store does not take these credentials .*AWS_ACCESS_KEY_ID/],
    ['ExpiredTokenException', /^The store does not take these credentials .*AWS_ACCESS_KEY_ID/],
    ['AccessDeniedException', /^The store denies a call .*iam-policy\.json/],
  ] as const)('ones that the store refuses with %s are one sentence', async ([name, sentence]) => {
    const store = await listenForTest(
      createServer((_request, response) => {
        response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
        response.end(JSON.stringify({ __type: `com.amazon.coral.service#${name}`, message: 'no' }));
      }),
    );
    const given = { AWS_ACCESS_KEY_ID: 'AKID', AWS_SECRET_ACCESS_KEY: SECRET };
    const { code, stderr, logs } = await startInVain({ env: await asAws(store, given) });
    expect(code).toBe(1);
    expect(stderr).toMatch(sentence);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr + JSON.stringify(logs)).not.toContain(SECRET);
  });
});
