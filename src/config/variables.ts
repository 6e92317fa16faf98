import { z } from 'zod';
import { ALERT_VARIABLES } from './alerts.ts';
import { JOB_VARIABLES } from './jobs.ts';
import { LEASE_VARIABLES } from './leases.ts';
import { LINE_VARIABLES } from './line.ts';
import { RESILIENCE_VARIABLES } from './resilience.ts';
import { SAFETY_VARIABLES } from './safety.ts';
import {
  fraction,
  isUrl,
  matching,
  oneOf,
  onOff,
  optional,
  origins,
  powerOfTwo,
  proxies,
  tokens,
  variable,
  whole,
} from './values.ts';
import { WATCH_VARIABLES } from './watch.ts';

/** The development tokens: named in the README, refused in production. */
export const DEVELOPMENT_TOKENS = { track: 'dev-track-token', admin: 'dev-admin-token' } as const;

const DAY_SECONDS = 86_400;
export const SHORTEST_DEADLINE_MS = 100;

/** Credentials come in pairs, and with a path behind the host it would be something else than DynamoDB. */
function isEndpoint(text: string): boolean {
  if (!isUrl(text, ['http:', 'https:'])) return false;
  const url = new URL(text);
  return url.pathname === '/' && (url.username === '') === (url.password === '');
}

const ENDPOINT = 'http(s)://host:port or http(s)://key:secret@host:port';

const storeUrl = {
  schema: z
    .string()
    .refine(
      (text) => /^(memory:|embedded:.+|dynamodb:\/\/[a-z][a-z0-9-]{0,39})$/.test(text) || isEndpoint(text),
    ),
  allowed: `embedded:<file>, memory:, dynamodb://<region>, ${ENDPOINT}`,
};
const endpointUrl = { schema: z.string().refine(isEndpoint), allowed: ENDPOINT };
const baseUrl = {
  schema: z
    .string()
    .refine((text) => isUrl(text, ['http:', 'https:']) && new URL(text).username === '')
    .transform((text) => text.replace(/\/+$/, '')),
  allowed: 'http(s)://host/path without credentials, query and fragment',
};
const region = matching(/^[a-z][a-z0-9-]{0,39}$/, 'a region such as eu-west-1');
const intervalSeconds = fraction(0.05, 7 * DAY_SECONDS);

/**
 * Every variable the broker reads, in the order of `.env.example`: its kind, its default, and what it is for.
 * The name of a setting and its unit inside the program are `Config`'s business.
 */
export const VARIABLES = {
  NODE_ENV: variable(
    oneOf('development', 'test', 'production'),
    'development',
    'production refuses every default that is only good for development',
  ),
  HOST: variable(
    matching(/^[A-Za-z0-9.:_-]+$/, 'an address or a host name'),
    '127.0.0.1',
    'address to listen on; 0.0.0.0 for all',
  ),
  PORT: variable(whole(0, 65_535), '8080', 'port to listen on; 0 takes any free one'),
  LOG_LEVEL: variable(
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'info',
    'least severe log lines written: trace, debug, info, warn, error, fatal, silent',
  ),

  BROKER_API_TOKEN: variable(
    tokens,
    DEVELOPMENT_TOKENS.track,
    "the tracks' token; several separated by commas while rotating",
  ),
  BROKER_ADMIN_TOKEN: variable(
    tokens,
    DEVELOPMENT_TOKENS.admin,
    "the operators' token; several separated by commas while rotating",
  ),
  BROKER_VIEWER_TOKEN: optional(
    tokens,
    'a token for those who may look at what operators see and change nothing; empty: none',
  ),

  SANDBOX_DB_URL: optional(
    storeUrl,
    'the store: embedded:<file>, memory:, http(s)://[key:secret@]host:port, dynamodb://<region>; empty: embedded:./data/sandbox-broker.db',
  ),
  SANDBOX_USE_MEMORY_DB: variable(onOff, 'false', 'true is short for SANDBOX_DB_URL=memory:, for a trial'),
  DDB_ENDPOINT_URL: optional(
    endpointUrl,
    'a DynamoDB-compatible endpoint, another way to say SANDBOX_DB_URL=http(s)://…',
  ),
  AWS_REGION: optional(
    region,
    'region of the table; alone it selects AWS itself, like SANDBOX_DB_URL=dynamodb://<region>',
  ),
  DDB_TABLE_NAME: variable(
    matching(/^[A-Za-z0-9._-]{3,255}$/, '3 to 255 of letters, digits and ._-'),
    'SandboxPool',
    'name of the table',
  ),
  DDB_CREATE_TABLE: optional(
    onOff,
    'whether to create the table when it is absent; empty: true, in production false',
  ),
  DDB_BUCKETS: variable(
    powerOfTwo(1024),
    '16',
    'partitions the pool is spread over, a power of two fixed when the table is created: peak allocations per second / 100',
  ),

  PROVIDER: optional(
    oneOf('csp', 'simulated'),
    'where sandboxes come from: csp or simulated; empty: csp when CSP_API_TOKEN is set, else simulated',
  ),
  CSP_BASE_URL: optional(baseUrl, "base address of the provider's API"),
  CSP_API_TOKEN: optional(
    { ...matching(/^[\x21-\x7e]{1,1024}$/, 'a token of visible ASCII characters'), secret: true },
    "token for the provider's API",
  ),
  CSP_TIMEOUT_CONNECT_SEC: variable(
    fraction(0.05, 300),
    '5',
    'longest wait for a connection to the provider, seconds',
  ),
  CSP_TIMEOUT_READ_SEC: variable(
    fraction(0.05, 900),
    '15',
    "longest wait for the provider's answer, seconds",
  ),
  SIMULATED_POOL_SIZE: variable(whole(0, 100_000), '20', 'how many sandboxes the simulated provider has'),

  ...LEASE_VARIABLES,
  ...LINE_VARIABLES,
  ALLOCATE_DEADLINE_MS: variable(
    whole(SHORTEST_DEADLINE_MS, 600_000),
    '25000',
    'how long an allocation may look for a sandbox before it answers 503, milliseconds',
  ),

  COUNT_INTERVAL_SEC: variable(
    intervalSeconds,
    '300',
    'time between counts of a pool in which nothing happens, seconds; what happens is added to the last count',
  ),
  SYNC_INTERVAL_SEC: variable(
    intervalSeconds,
    '600',
    "time between reads of the provider's inventory, seconds",
  ),
  CLEANUP_INTERVAL_SEC: variable(
    intervalSeconds,
    '300',
    'time between cleanups of returned sandboxes, seconds',
  ),
  AUTO_EXPIRY_INTERVAL_SEC: variable(
    intervalSeconds,
    '300',
    'time between searches for expired leases, seconds',
  ),
  SYNC_MAX_STALE_RATIO: variable(
    fraction(0, 1),
    '0.5',
    'largest part of the pool that one sync may mark stale; more is refused unless forced',
  ),
  CLEANUP_CONCURRENCY: variable(whole(1, 100), '5', 'how many sandboxes are deleted at the same time'),
  CLEANUP_PER_SANDBOX_DELAY_SEC: variable(fraction(0, 3600), '0', 'pause after each delete, seconds'),
  DELETION_RETRY_MAX_ATTEMPTS: variable(
    whole(1, 100),
    '3',
    'attempts at a delete before it waits for an operator',
  ),

  RATE_LIMIT_RPS: variable(whole(1, 1_000_000), '200', 'requests per second and client address'),
  RATE_LIMIT_BURST: variable(whole(1, 1_000_000), '3000', 'requests a client address may send at once'),
  TRUST_PROXY: variable(
    proxies,
    'off',
    'whose X-Forwarded-For is believed: off, the number of proxies in front, or their addresses and networks',
  ),
  CORS_ALLOWED_ORIGINS: optional(
    origins,
    'origins whose pages may call the API, separated by commas; empty: none',
  ),

  ...SAFETY_VARIABLES,
  ...RESILIENCE_VARIABLES,
  ...JOB_VARIABLES,
  ...WATCH_VARIABLES,
  ...ALERT_VARIABLES,

  SHUTDOWN_DRAIN_MS: optional(
    whole(0, 600_000),
    'time between not being ready and no longer accepting, milliseconds; empty: 0, in production 5000',
  ),
  SHUTDOWN_TIMEOUT_MS: variable(
    whole(100, 600_000),
    '35000',
    'longest time a shutdown may take, milliseconds; at least ALLOCATE_DEADLINE_MS and SHUTDOWN_DRAIN_MS together',
  ),
};
