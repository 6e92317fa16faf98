import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { describe, expect, test } from 'vitest';
import { describeConfig } from '../../src/config/description.ts';
import { configSecrets, type Environment, loadConfig } from '../../src/config/index.ts';
import { FACTS } from '../../src/config/values.ts';
import { VARIABLES } from '../../src/config/variables.ts';
import { problemsOf } from '../support/config-problems.ts';

const PRODUCTION = {
  NODE_ENV: 'production',
  BROKER_API_TOKEN: 'a-track-token-of-our-own',
  BROKER_ADMIN_TOKEN: 'an-admin-token-of-our-own',
  SANDBOX_DB_URL: 'dynamodb://eu-west-1',
  CSP_BASE_URL: 'https://csp.example.org/v1/',
  CSP_API_TOKEN: 'a-provider-token',
};

describe('defaults', () => {
  test('an empty environment starts a development broker on this machine only', () => {
    expect(loadConfig({})).toMatchObject({
      environment: 'development',
      host: '127.0.0.1',
      port: 8080,
      trackTokens: ['dev-track-token'],
      adminTokens: ['dev-admin-token'],
      store: { kind: 'embedded', file: './data/sandbox-broker.db' },
      provider: { kind: 'simulated', poolSize: 20 },
      createTable: true,
      buckets: 16,
      leaseSeconds: 14_400,
      maxLeaseSeconds: 86_400,
      bufferSeconds: 1800,
      syncIntervalMs: 600_000,
      allocateDeadlineMs: 25_000,
      shutdownDrainMs: 0,
      trustProxy: false,
      corsAllowedOrigins: [],
    });
  });

  test('an empty or blank variable counts as unset', () => {
    const blank = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, '  ']));
    expect(loadConfig(blank)).toEqual(loadConfig({}));
  });

  test('production neither creates the table nor skips the drain unless told to', () => {
    expect(loadConfig(PRODUCTION)).toMatchObject({ createTable: false, shutdownDrainMs: 5000 });
    const told = { ...PRODUCTION, DDB_CREATE_TABLE: 'true', SHUTDOWN_DRAIN_MS: '0' };
    expect(loadConfig(told)).toMatchObject({ createTable: true, shutdownDrainMs: 0 });
  });

  test('nothing in the configuration can be changed afterwards', () => {
    const config = loadConfig({ TRUST_PROXY: '10.0.0.0/8' });
    for (const part of [
      config,
      config.store,
      config.provider,
      config.trackTokens,
      config.rateLimit,
      config.trustProxy,
    ]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });
});

describe('.env.example', () => {
  test('lists every variable with its default and what it is for', async () => {
    const lines = Object.entries(VARIABLES).map(([name, schema]) => {
      const facts = FACTS.get(schema);
      return `# ${facts?.about}\n${name}=${facts?.fallback}\n`;
    });
    const heading = '# Every variable the broker reads, with its default. An empty one counts as unset.\n';
    await expect([heading, ...lines].join('\n')).toMatchFileSnapshot('../../.env.example');
  });

  test('changes nothing when it is used as it is', () => {
    const example = parseEnv(readFileSync(new URL('../../.env.example', import.meta.url), 'utf8'));
    expect(loadConfig(example)).toEqual(loadConfig({}));
  });
});

test('the operating guide names every variable', () => {
  const guide = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const [configuration = ''] = guide.slice(guide.indexOf('\n## Configuration\n') + 1).split('\n## ');
  const named = new Set([...configuration.matchAll(/`([A-Z][A-Z_]+)`/g)].map((match) => match[1]));
  expect(Object.keys(VARIABLES).filter((name) => !named.has(name))).toEqual([]);
});

describe('values', () => {
  test.each([
    [{ PORT: '0' }, { port: 0 }],
    [
      { LAB_DURATION_HOURS: '1.5', EXPIRY_BUFFER_HOURS: '.25', COOLDOWN_SEC: '1.5' },
      { leaseSeconds: 5400, bufferSeconds: 900, cooldownMs: 1500 },
    ],
    [{ LAB_DURATION_HOURS: '0.0002' }, { leaseSeconds: 1 }],
    [{ LAB_DURATION_HOURS: '48' }, { leaseSeconds: 172_800, maxLeaseSeconds: 172_800 }],
    [{ MAX_LEASE_HOURS: '5' }, { leaseSeconds: 14_400, maxLeaseSeconds: 18_000 }],
    [{ SYNC_INTERVAL_SEC: '0.25' }, { syncIntervalMs: 250 }],
    [{ BROKER_API_TOKEN: 'new-one, old-one' }, { trackTokens: ['new-one', 'old-one'] }],
    [{ TRUST_PROXY: '2' }, { trustProxy: 2 }],
    [{ TRUST_PROXY: 'false' }, { trustProxy: false }],
    [{ TRUST_PROXY: 'loopback, 10.0.0.0/8, ::1' }, { trustProxy: ['loopback', '10.0.0.0/8', '::1'] }],
    [
      { CORS_ALLOWED_ORIGINS: 'https://a.example,http://b:3000' },
      { corsAllowedOrigins: ['https://a.example', 'http://b:3000'] },
    ],
    [{ DDB_BUCKETS: '1024' }, { buckets: 1024 }],
    [
      { CSP_API_TOKEN: 't', CSP_BASE_URL: 'https://csp.example/v1/', CSP_TIMEOUT_READ_SEC: '2.5' },
      {
        provider: {
          kind: 'csp',
          baseUrl: 'https://csp.example/v1',
          token: 't',
          connectTimeoutMs: 5000,
          readTimeoutMs: 2500,
        },
      },
    ],
    [{ CSP_API_TOKEN: 't', PROVIDER: 'simulated' }, { provider: { kind: 'simulated', poolSize: 20 } }],
  ])('%o is understood', (env, expected) => {
    expect(loadConfig(env)).toMatchObject(expected);
  });

  test.each([
    ['PORT', '65536'],
    ['PORT', '80.5'],
    ['PORT', '-1'],
    ['PORT', '0x50'],
    ['NODE_ENV', 'prod'],
    ['LOG_LEVEL', 'verbose'],
    ['DDB_BUCKETS', '12'],
    ['DDB_BUCKETS', '2048'],
    ['DDB_TABLE_NAME', 'a b'],
    ['LAB_DURATION_HOURS', '0'],
    ['LAB_DURATION_HOURS', '4h'],
    ['SYNC_MAX_STALE_RATIO', '1.01'],
    ['CLEANUP_CONCURRENCY', '0'],
    ['SANDBOX_USE_MEMORY_DB', 'maybe'],
    ['SANDBOX_DB_URL', 'postgres://db'],
    ['SANDBOX_DB_URL', 'embedded:'],
    ['SANDBOX_DB_URL', 'http://db:8000/path'],
    ['DDB_ENDPOINT_URL', 'memory:'],
    ['CSP_BASE_URL', 'csp.example.org'],
    ['TRUST_PROXY', 'true'],
    ['TRUST_PROXY', '10.0.0.0/33'],
    ['CORS_ALLOWED_ORIGINS', '*'],
    ['CORS_ALLOWED_ORIGINS', 'https://a.example/'],
    ['PROVIDER', 'aws'],
  ])('%s=%s stops the start with a sentence that says what is allowed', (name, value) => {
    const [problem, ...others] = problemsOf({ [name]: value });
    expect(others).toEqual([]);
    expect(problem).toBe(
      `${name} is "${value}": it must be ${FACTS.get(VARIABLES[name as keyof typeof VARIABLES])?.allowed}.`,
    );
  });

  test('all problems are told at once, and none twice', () => {
    const problems = problemsOf({
      NODE_ENV: 'production',
      PORT: 'x',
      BROKER_API_TOKEN: 'with blank',
      DDB_BUCKETS: '3',
    });
    expect(problems.map((problem) => problem.split(' ')[0])).toEqual([
      'PORT',
      'BROKER_API_TOKEN',
      'DDB_BUCKETS',
      'SANDBOX_DB_URL',
      'BROKER_ADMIN_TOKEN',
      'CSP_API_TOKEN',
    ]);
  });

  test('a drain as long as the whole shutdown is refused', () => {
    expect(problemsOf({ SHUTDOWN_DRAIN_MS: '35000' })).toEqual([
      expect.stringMatching(
        /SHUTDOWN_DRAIN_MS \(35000\) .* SHUTDOWN_TIMEOUT_MS \(35000\): make that 60000 or more\.$/,
      ),
    ]);
  });

  test('a deadline that a shutdown cannot wait for is refused, with what would fit', () => {
    const limits = { SHUTDOWN_DRAIN_MS: '6000', SHUTDOWN_TIMEOUT_MS: '30000' };
    const [problem, ...others] = problemsOf(limits);
    expect(problem).toMatch(
      /^ALLOCATE_DEADLINE_MS \(25000\) .* make that 31000 or more, or the deadline 24000 or less\.$/,
    );
    expect(others).toEqual([]);
    for (const fits of [{ SHUTDOWN_TIMEOUT_MS: '31000' }, { ALLOCATE_DEADLINE_MS: '24000' }]) {
      expect(loadConfig({ ...limits, ...fits })).toMatchObject({ shutdownDrainMs: 6000 });
    }
  });
});

describe('choosing the store', () => {
  const endpoint = { kind: 'endpoint', url: 'http://db:8000', region: 'us-east-1', credentials: undefined };
  test.each([
    [{ SANDBOX_DB_URL: 'embedded:/var/lib/pool.db' }, { kind: 'embedded', file: '/var/lib/pool.db' }],
    [{ SANDBOX_DB_URL: 'memory:' }, { kind: 'embedded', file: undefined }],
    [{ SANDBOX_USE_MEMORY_DB: 'true' }, { kind: 'embedded', file: undefined }],
    [
      { SANDBOX_USE_MEMORY_DB: 'true', SANDBOX_DB_URL: 'memory:' },
      { kind: 'embedded', file: undefined },
    ],
    [
      { SANDBOX_USE_MEMORY_DB: 'true', AWS_REGION: 'eu-west-1' },
      { kind: 'embedded', file: undefined },
    ],
    [{ SANDBOX_DB_URL: 'http://db:8000' }, endpoint],
    [{ DDB_ENDPOINT_URL: 'http://db:8000' }, endpoint],
    [{ DDB_ENDPOINT_URL: 'http://db:8000/', SANDBOX_DB_URL: 'http://db:8000' }, endpoint],
    [
      { DDB_ENDPOINT_URL: 'http://db:8000', AWS_REGION: 'eu-west-1' },
      { ...endpoint, region: 'eu-west-1' },
    ],
    [
      { SANDBOX_DB_URL: 'http://key:se%2Fcr%zzet@db:8000' },
      { ...endpoint, credentials: { accessKeyId: 'key', secretAccessKey: 'se/cr%zzet' } },
    ],
    [{ SANDBOX_DB_URL: 'dynamodb://eu-west-1' }, { kind: 'aws', region: 'eu-west-1' }],
    [{ AWS_REGION: 'eu-west-1' }, { kind: 'aws', region: 'eu-west-1' }],
    [
      { AWS_REGION: 'eu-west-1', SANDBOX_DB_URL: 'dynamodb://eu-west-1' },
      { kind: 'aws', region: 'eu-west-1' },
    ],
  ])('%o', (env, store) => {
    expect(loadConfig(env).store).toEqual(store);
  });

  test.each([
    { SANDBOX_USE_MEMORY_DB: 'true', SANDBOX_DB_URL: 'embedded:x.db' },
    { SANDBOX_USE_MEMORY_DB: 'true', DDB_ENDPOINT_URL: 'http://db:8000' },
    { DDB_ENDPOINT_URL: 'http://db:8000', SANDBOX_DB_URL: 'http://other:8000' },
    { DDB_ENDPOINT_URL: 'http://db:8000', SANDBOX_DB_URL: 'dynamodb://eu-west-1' },
    { AWS_REGION: 'us-east-1', SANDBOX_DB_URL: 'dynamodb://eu-west-1' },
  ])('%o is a contradiction', (env) => {
    const [problem] = problemsOf(env);
    for (const [name, value] of Object.entries(env)) expect(problem).toContain(`${name}=${value}`);
  });
});

describe('production refuses', () => {
  test('nothing, when everything is named', () => {
    expect(problemsOf(PRODUCTION)).toEqual([]);
  });

  test.each<[string, Environment, string]>([
    ['an embedded store nobody asked for', { SANDBOX_DB_URL: undefined }, 'SANDBOX_DB_URL'],
    ['a store in memory', { SANDBOX_DB_URL: 'memory:' }, 'A store in memory'],
    [
      'a store in memory by its other name',
      { SANDBOX_DB_URL: undefined, SANDBOX_USE_MEMORY_DB: '1' },
      'A store in memory',
    ],
    ['a missing token', { BROKER_API_TOKEN: undefined }, 'BROKER_API_TOKEN'],
    [
      'a development token among others',
      { BROKER_API_TOKEN: `${PRODUCTION.BROKER_API_TOKEN},dev-track-token` },
      'BROKER_API_TOKEN',
    ],
    ["the other role's development token", { BROKER_ADMIN_TOKEN: 'dev-track-token' }, 'BROKER_ADMIN_TOKEN'],
    ['a short token', { BROKER_ADMIN_TOKEN: 'fifteen-letters' }, 'BROKER_ADMIN_TOKEN'],
    [
      'a token for both roles',
      { BROKER_ADMIN_TOKEN: `${PRODUCTION.BROKER_API_TOKEN},x-x-x-x-x-x-x-x-x` },
      'BROKER_API_TOKEN and',
    ],
    ['a simulated provider nobody asked for', { CSP_API_TOKEN: undefined }, 'CSP_API_TOKEN'],
    ['a provider without an address', { CSP_BASE_URL: undefined }, 'CSP_BASE_URL'],
    ['a provider without a token', { CSP_API_TOKEN: undefined, PROVIDER: 'csp' }, 'CSP_API_TOKEN'],
  ])('%s', (_, change, start) => {
    const problems = problemsOf({ ...PRODUCTION, ...change });
    expect(problems).toHaveLength(1);
    expect(problems[0]?.startsWith(start)).toBe(true);
  });

  test('neither an embedded store nor the simulated provider when they are named', () => {
    const named = {
      ...PRODUCTION,
      SANDBOX_DB_URL: 'embedded:/data/pool.db',
      CSP_API_TOKEN: undefined,
      PROVIDER: 'simulated',
    };
    expect(loadConfig(named)).toMatchObject({ store: { kind: 'embedded' }, provider: { kind: 'simulated' } });
  });
});

describe('secrets', () => {
  const env = {
    BROKER_API_TOKEN: 'track-secret',
    BROKER_ADMIN_TOKEN: 'admin-secret',
    BROKER_VIEWER_TOKEN: 'viewer-secret',
    CSP_API_TOKEN: 'provider-secret',
    CSP_BASE_URL: 'https://csp.example.org',
    SANDBOX_DB_URL: 'http://key:store-secret@db:8000',
  };

  test('the description for the start-up log has none', () => {
    const shown = JSON.stringify(describeConfig(loadConfig(env)));
    expect(shown).not.toContain('secret');
    expect(shown).toContain('http://db:8000');
  });

  test('the logger is told all of them', () => {
    expect(configSecrets(loadConfig(env)).sort()).toEqual([
      'admin-secret',
      'provider-secret',
      'store-secret',
      'track-secret',
      'viewer-secret',
    ]);
  });

  test('a refusal shows none, not even of a malformed value', () => {
    const bad = {
      BROKER_API_TOKEN: 'my hush',
      CSP_API_TOKEN: 'my\thush',
      SANDBOX_DB_URL: 'http://key:my/hush@db:8000',
      DDB_ENDPOINT_URL: 'ftp://key:my-hush@db',
      CSP_BASE_URL: 'https://user:my-hush@csp.example.org',
    };
    const problems = problemsOf(bad);
    expect(problems).toHaveLength(5);
    expect(problems.join()).not.toContain('hush');
  });

  test('a contradiction shows none', () => {
    const problems = problemsOf({ SANDBOX_DB_URL: env.SANDBOX_DB_URL, DDB_ENDPOINT_URL: 'http://other:1' });
    expect(problems.join()).toContain('http://***@db:8000');
    expect(problems.join()).not.toContain('secret');
  });
});
