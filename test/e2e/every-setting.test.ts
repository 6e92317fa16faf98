import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test, vi } from 'vitest';
import { FACTS } from '../../src/config/values.ts';
import { VARIABLES } from '../../src/config/variables.ts';
import { createStoreClient } from '../../src/store/dynamo/client.ts';
import { openTable } from '../../src/store/table.ts';
import { MAIN, OWN_ENVIRONMENT, PROCESS_TIMES } from '../support/broker/broker-process.ts';
import { LOCAL_CREDENTIALS, uniqueTable } from '../support/broker/core.ts';
import { freePort } from '../support/listen.ts';
import { account, startFakeCsp } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { temporaryFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';

vi.setConfig(PROCESS_TIMES);

/*
 * Each way in which a variable may be written, once, in a process that starts and ends. What the parser takes is not yet
 * what the libraries behind it take: a pair of keys in the store's address once stopped every start.
 */

const SECRETS = {
  track: 'a-track-token-of-our-own',
  admin: 'an-admin-token-of-our-own',
  viewer: 'a-viewer-token-of-our-own',
  store: 'a-secret-key+of/the=store',
  csp: 'a-token-for-the-provider',
  hook: 'a-password-for-the-hook',
  signature: 'a-secret-to-sign-alerts-with',
};
const NOBODY = '127.0.0.1:9';

/** Where a variable's own facts do not tell how it may be written. */
const WRITTEN: Partial<Record<keyof typeof VARIABLES, readonly string[]>> = {
  HOST: ['127.0.0.1', '0.0.0.0', 'localhost'],
  BROKER_API_TOKEN: [SECRETS.track, `${SECRETS.track}, an-older-track-token-of-ours`],
  BROKER_ADMIN_TOKEN: [SECRETS.admin, `${SECRETS.admin},an-older-admin-token-of-ours`],
  BROKER_VIEWER_TOKEN: [SECRETS.viewer, `${SECRETS.viewer},an-older-viewer-token-of-ours`, ''],
  DDB_BUCKETS: ['16', '1', '32'],
  CSP_API_TOKEN: [SECRETS.csp],
  MAX_LEASE_HOURS: ['24', '24.5', ''],
  SANDBOX_ALLOCATE_LIMIT: ['100', ''],
  TRUST_PROXY: ['off', '2', '10.0.0.1', 'loopback, 10.0.0.0/8, fd00::/8'],
  CORS_ALLOWED_ORIGINS: ['https://a.example.org', 'https://a.example.org,http://b.example.org:3000', ''],
  ALERT_WEBHOOK_URL: [`http://${NOBODY}`, `https://user:${SECRETS.hook}@${NOBODY}/services/T0/B0?x=1`, ''],
  ALERT_WEBHOOK_SECRET: [SECRETS.signature, ''],
  RUNBOOK_URL: ['https://wiki.example.org/broker/operations', ''],
  // Nobody takes the alerts, and a broker that ends waits for its tries.
  RETRY_BASE_DELAY_SEC: ['0.01', '0.010'],
  // An alert is raised at the start, so that there is something to post.
  POOL_LOW_WATERMARK: ['1000000'],
  SHUTDOWN_DRAIN_MS: ['0', '100'],
};
/** Written by each start for itself: they have to fit each other. */
const TOGETHER = [
  'NODE_ENV',
  'PORT',
  'SANDBOX_DB_URL',
  'SANDBOX_USE_MEMORY_DB',
  'DDB_ENDPOINT_URL',
  'AWS_REGION',
  'DDB_TABLE_NAME',
  'DDB_CREATE_TABLE',
  'PROVIDER',
  'CSP_BASE_URL',
];

/** Every way to write it; throws where the test does not know. */
function waysToWrite(name: keyof typeof VARIABLES): readonly string[] {
  const known = WRITTEN[name];
  if (known !== undefined) return known;
  const { allowed = '', fallback = '' } = FACTS.get(VARIABLES[name]) ?? {};
  if (allowed.startsWith('one of ')) return allowed.slice('one of '.length).split(', ');
  if (allowed.startsWith('true or false')) return ['true', 'off', '1', 'false', 'on', '0'];
  if (/^a whole number/.test(allowed) && fallback !== '') return [fallback];
  if (/^a number/.test(allowed) && fallback !== '')
    return [fallback, fallback.includes('.') ? fallback : `${fallback}.0`];
  throw new Error(`${name}: say here how it may be written`);
}

type Settings = Record<string, string>;

describeOnFastEngine('a broker', ({ endpoint }) => {
  const host = new URL(endpoint).host;
  const secretInUrl = encodeURIComponent(SECRETS.store);
  const production = { NODE_ENV: 'production' };
  const signed = {
    AWS_ACCESS_KEY_ID: 'AKID',
    AWS_SECRET_ACCESS_KEY: SECRETS.store,
    AWS_ENDPOINT_URL_DYNAMODB: endpoint,
  };
  const csp = (path: string) => ({ PROVIDER: 'csp', CSP_BASE_URL: path });

  const STARTS: readonly [string, Settings][] = [
    [
      'in a file',
      { SANDBOX_DB_URL: 'embedded:<folder>/pool.db', SANDBOX_USE_MEMORY_DB: 'off', DDB_CREATE_TABLE: 'true' },
    ],
    ['in memory', { SANDBOX_DB_URL: 'memory:', NODE_ENV: 'test', DDB_CREATE_TABLE: 'on' }],
    ['in memory, for short', { SANDBOX_USE_MEMORY_DB: 'true', PROVIDER: 'simulated' }],
    [
      'in memory, said twice',
      { SANDBOX_USE_MEMORY_DB: '1', SANDBOX_DB_URL: 'memory:', DDB_CREATE_TABLE: '1' },
    ],
    ['at an endpoint', { SANDBOX_DB_URL: `http://${host}`, SANDBOX_USE_MEMORY_DB: '0', ...csp('<csp>') }],
    [
      'at an endpoint, with keys',
      { SANDBOX_DB_URL: `http://AKID:${secretInUrl}@${host}`, DDB_CREATE_TABLE: 'false', ...csp('<csp>/') },
    ],
    [
      'at an endpoint, the other way',
      { DDB_ENDPOINT_URL: endpoint, DDB_CREATE_TABLE: 'off', AWS_REGION: 'eu-west-1' },
    ],
    [
      'at an endpoint, the other way with keys',
      {
        DDB_ENDPOINT_URL: `http://AKID:${secretInUrl}@${host}`,
        DDB_CREATE_TABLE: '0',
        ...production,
        ...csp(`https://${NOBODY}/v1`),
      },
    ],
    [
      'at AWS',
      {
        SANDBOX_DB_URL: 'dynamodb://eu-west-1',
        SANDBOX_USE_MEMORY_DB: 'false',
        ...signed,
        ...production,
        ...csp('<csp>'),
        DDB_CREATE_TABLE: 'true',
      },
    ],
    [
      'at AWS, by the region alone',
      { AWS_REGION: 'eu-west-1', ...signed, NODE_ENV: 'development', PROVIDER: 'simulated' },
    ],
  ];

  /** The n-th way to write each variable. */
  const others = (n: number): Settings =>
    Object.fromEntries(
      (Object.keys(VARIABLES) as (keyof typeof VARIABLES)[])
        .filter((name) => !TOGETHER.includes(name))
        .map((name) => {
          const ways = waysToWrite(name);
          return [name, ways[n % ways.length] ?? ''];
        }),
    );

  test('has no variable of which a way is left out', () => {
    const names = (Object.keys(VARIABLES) as (keyof typeof VARIABLES)[]).filter(
      (name) => !TOGETHER.includes(name),
    );
    expect(names.filter((name) => waysToWrite(name).length > STARTS.length)).toEqual([]);
    const written = new Set(STARTS.flatMap(([, settings]) => Object.keys(settings)));
    expect(
      TOGETHER.filter((name) => !['PORT', 'DDB_TABLE_NAME'].includes(name) && !written.has(name)),
    ).toEqual([]);
  });

  test.for(
    STARTS.map(
      ([where, settings], n) => [where, { ...others(n), CSP_BASE_URL: '<csp>', ...settings }] as const,
    ),
  )('starts and ends with everything written in one more way: %s', async ([, settings]) => {
    const cspSide = await startFakeCsp({ token: SECRETS.csp });
    onTestFinished(() => cspSide.close());
    cspSide.add(account());
    const folder = await temporaryFolder();
    const port = String(await freePort());
    const env: Settings = { ...settings, DDB_TABLE_NAME: uniqueTable(), PORT: port };
    if (/false|off|0/.test(env['DDB_CREATE_TABLE'] ?? '')) await makeTable(endpoint, env);
    for (const [name, value] of Object.entries(env)) {
      env[name] = value.replace('<folder>', folder).replace('<csp>', cspSide.baseUrl);
    }
    const child = spawn(process.execPath, [MAIN], {
      cwd: folder,
      env: { ...OWN_ENVIRONMENT, HOME: folder, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const isUp = async () => isOver || (await fetch(`http://127.0.0.1:${port}/healthz`)).ok;
    await until(isUp, { what: 'it answers, or has ended', timeoutMs: 60_000 });
    child.kill('SIGTERM');
    const [stdout, stderr, [code, signal]] = await ended;
    expect({ stderr, code, signal }).toEqual({ stderr: '', code: 0, signal: null });
    expect(Object.values(SECRETS).filter((secret) => stdout.includes(secret))).toEqual([]);
  });
});

/** As whoever runs a broker does that may not. */
async function makeTable(
  endpoint: string,
  { DDB_TABLE_NAME = '', DDB_BUCKETS = '' }: Settings,
): Promise<void> {
  const client = createStoreClient({
    endpoint,
    region: 'eu-west-1',
    credentials: LOCAL_CREDENTIALS,
    table: DDB_TABLE_NAME,
  });
  await openTable(client, { buckets: Number(DDB_BUCKETS), create: true }, AbortSignal.timeout(20_000));
  client.close();
}
