import { z } from 'zod';
import { type AlertConfig, alertSecrets, readAlerts } from './alerts.ts';
import { type JobsConfig, readJobs } from './jobs.ts';
import { type LeaseConfig, readLeases } from './leases.ts';
import { type LineConfig, readLine } from './line.ts';
import { findMisspelt, type Misspelt } from './names.ts';
import { type ResilienceConfig, readResilience } from './resilience.ts';
import { readSafety, type SafetyConfig } from './safety.ts';
import { chooseStore, maskUrl, refuseStoreInProduction, type StoreConfig } from './store.ts';
import { FACTS } from './values.ts';
import { DEVELOPMENT_TOKENS, SHORTEST_DEADLINE_MS, VARIABLES } from './variables.ts';
import { readWatch, type WatchConfig } from './watch.ts';

export type ProviderConfig =
  | { kind: 'csp'; baseUrl: string; token: string; connectTimeoutMs: number; readTimeoutMs: number }
  | { kind: 'simulated'; poolSize: number };

/** Everything the environment decides, parsed and frozen. */
export interface Config
  extends LeaseConfig,
    LineConfig,
    AlertConfig,
    SafetyConfig,
    ResilienceConfig,
    JobsConfig,
    WatchConfig {
  environment: 'development' | 'test' | 'production';
  /** What is set in vain, most likely by mistake. */
  misspelt: readonly Misspelt[];
  host: string;
  /** 0: a free port. */
  port: number;
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  trackTokens: readonly string[];
  adminTokens: readonly string[];
  /** Operators' that may look and change nothing; none by default. */
  viewerTokens: readonly string[];

  store: StoreConfig;
  tableName: string;
  /** Create the table when it is absent. */
  createTable: boolean;
  /** Partitions the pool is spread over; fixed at the table's creation. */
  buckets: number;

  provider: ProviderConfig;
  allocateDeadlineMs: number;

  countIntervalMs: number;
  syncIntervalMs: number;
  cleanupIntervalMs: number;
  expiryIntervalMs: number;
  /** 0 to 1: the largest part of the pool that one sync may mark stale. */
  syncMaxStaleRatio: number;
  cleanupConcurrency: number;
  /** Pause after each delete. */
  cleanupDelayMs: number;
  deletionMaxAttempts: number;

  rateLimit: { requestsPerSecond: number; burst: number };
  /** Fastify's `trustProxy`: off, the number of proxies in front, or their addresses and networks. */
  trustProxy: false | number | readonly string[];
  corsAllowedOrigins: readonly string[];

  shutdownDrainMs: number;
  shutdownTimeoutMs: number;
}

export type Environment = Readonly<Record<string, string | undefined>>;
type Values = z.output<typeof ENVIRONMENT>;

const ENVIRONMENT = z.object(VARIABLES);
const SHORTEST_PRODUCTION_TOKEN = 16;

/** The environment cannot be used. The message has one sentence per problem, each on its own line. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/**
 * Reads the configuration from environment variables. An empty or blank value counts as unset, variables the broker
 * does not know are ignored, but for those that nearly are ones it does (`misspelt`). Throws a {@link ConfigError} that names every problem at once.
 */
export function loadConfig(env: Environment): Config {
  const given = Object.fromEntries(
    Object.keys(VARIABLES).map((name) => [name, env[name]?.trim() || undefined]),
  );
  const { values, bad } = parseValues(given);
  const { store, problems } = chooseStore(values);
  const provider = chooseProvider(values, problems);
  const resilience = readResilience(values, problems);
  const production = values.NODE_ENV === 'production';
  const shutdownDrainMs = values.SHUTDOWN_DRAIN_MS ?? (production ? 5000 : 0);
  problems.push(...tooLongForShutdown(values, shutdownDrainMs));
  const leases = readLeases(values, problems);
  const watch = readWatch(values, problems);
  problems.push(...sharedTokens(values));
  if (production) problems.push(...refuseInProduction(values, store, provider));
  // A bad value was judged as if it were unset: what else is said about its variable is not the reader's mistake.
  const found = problems.filter((problem) => !bad.some((name) => problem.includes(name)));
  found.unshift(...bad.map((name) => describeBadValue(name, given[name] ?? '')));
  if (found.length > 0 || provider === undefined) throw new ConfigError(found);

  return deepFreeze({
    environment: values.NODE_ENV,
    misspelt: findMisspelt(env, Object.keys(VARIABLES)),
    host: values.HOST,
    port: values.PORT,
    logLevel: values.LOG_LEVEL,
    trackTokens: values.BROKER_API_TOKEN,
    adminTokens: values.BROKER_ADMIN_TOKEN,
    viewerTokens: values.BROKER_VIEWER_TOKEN ?? [],
    store,
    tableName: values.DDB_TABLE_NAME,
    createTable: values.DDB_CREATE_TABLE ?? !production,
    buckets: values.DDB_BUCKETS,
    provider,
    ...leases,
    allocateDeadlineMs: values.ALLOCATE_DEADLINE_MS,
    countIntervalMs: toMs(values.COUNT_INTERVAL_SEC),
    syncIntervalMs: toMs(values.SYNC_INTERVAL_SEC),
    cleanupIntervalMs: toMs(values.CLEANUP_INTERVAL_SEC),
    expiryIntervalMs: toMs(values.AUTO_EXPIRY_INTERVAL_SEC),
    syncMaxStaleRatio: values.SYNC_MAX_STALE_RATIO,
    cleanupConcurrency: values.CLEANUP_CONCURRENCY,
    cleanupDelayMs: toMs(values.CLEANUP_PER_SANDBOX_DELAY_SEC),
    deletionMaxAttempts: values.DELETION_RETRY_MAX_ATTEMPTS,
    rateLimit: { requestsPerSecond: values.RATE_LIMIT_RPS, burst: values.RATE_LIMIT_BURST },
    trustProxy: values.TRUST_PROXY,
    corsAllowedOrigins: values.CORS_ALLOWED_ORIGINS ?? [],
    ...readLine(values),
    ...readSafety(values),
    ...resilience,
    ...readJobs(values),
    ...watch,
    ...readAlerts(values),
    shutdownDrainMs,
    shutdownTimeoutMs: values.SHUTDOWN_TIMEOUT_MS,
  });
}

/** Every secret value in the configuration, for the logger to mask wherever it turns up. */
export function configSecrets(config: Config): string[] {
  // The development tokens stand in the README: they are no secret, and the start-up log names them.
  const known: readonly string[] = Object.values(DEVELOPMENT_TOKENS);
  const tokens = [...config.trackTokens, ...config.adminTokens, ...config.viewerTokens];
  const secrets = tokens.filter((token) => !known.includes(token));
  if (config.provider.kind === 'csp') secrets.push(config.provider.token);
  if (config.store.kind === 'endpoint' && config.store.credentials) {
    secrets.push(config.store.credentials.secretAccessKey);
  }
  return [...secrets, ...alertSecrets(config.alertWebhook)];
}

const toMs = (seconds: number): number => Math.round(seconds * 1000);

/** The values, with the default in the place of every bad one. */
function parseValues(given: Environment): { values: Values; bad: string[] } {
  const issues = ENVIRONMENT.safeParse(given).error?.issues ?? [];
  const faulty = new Set(issues.map((issue) => issue.path[0]));
  const usable = Object.fromEntries(Object.entries(given).filter(([name]) => !faulty.has(name)));
  const bad = Object.keys(given).filter((name) => faulty.has(name));
  return { values: ENVIRONMENT.parse(usable), bad };
}

function describeBadValue(name: string, value: string): string {
  const facts = FACTS.get(VARIABLES[name as keyof typeof VARIABLES]);
  const shown = facts?.secret
    ? 'not usable (its value is not shown)'
    : JSON.stringify(maskUrl(value).slice(0, 100));
  return `${name} is ${shown}: it must be ${facts?.allowed}.`;
}

/** The provider the variables choose; undefined with the reason in `problems` when they choose an incomplete one. */
function chooseProvider(values: Values, problems: string[]): ProviderConfig | undefined {
  const kind = values.PROVIDER ?? (values.CSP_API_TOKEN === undefined ? 'simulated' : 'csp');
  if (kind === 'simulated') return { kind, poolSize: values.SIMULATED_POOL_SIZE };
  const { CSP_BASE_URL: baseUrl, CSP_API_TOKEN: token } = values;
  if (baseUrl === undefined)
    problems.push('CSP_BASE_URL is not set: the csp provider needs the base address of its API.');
  if (token === undefined) problems.push('CSP_API_TOKEN is not set: PROVIDER=csp needs it.');
  if (baseUrl === undefined || token === undefined) return undefined;
  return {
    kind,
    baseUrl,
    token,
    connectTimeoutMs: toMs(values.CSP_TIMEOUT_CONNECT_SEC),
    readTimeoutMs: toMs(values.CSP_TIMEOUT_READ_SEC),
  };
}

/** Whoever comes with the last moment of the drain has the whole deadline, and is answered before the shutdown is over. */
function tooLongForShutdown(values: Values, drainMs: number): string[] {
  const { ALLOCATE_DEADLINE_MS: deadlineMs, SHUTDOWN_TIMEOUT_MS: timeoutMs } = values;
  if (deadlineMs + drainMs <= timeoutMs) return [];
  const roomMs = timeoutMs - drainMs;
  const orShorter = roomMs >= SHORTEST_DEADLINE_MS ? `, or the deadline ${roomMs} or less` : '';
  return [
    `ALLOCATE_DEADLINE_MS (${deadlineMs}) and SHUTDOWN_DRAIN_MS (${drainMs}) together must be at most SHUTDOWN_TIMEOUT_MS (${timeoutMs}): ` +
      `make that ${deadlineMs + drainMs} or more${orShorter}.`,
  ];
}

const TOKENS = ['BROKER_API_TOKEN', 'BROKER_ADMIN_TOKEN', 'BROKER_VIEWER_TOKEN'] as const;

/** A token has one role: which of two it would get is for nobody to guess. */
const sharedTokens = (values: Values): string[] =>
  TOKENS.flatMap((one, index) =>
    TOKENS.slice(index + 1)
      .filter((other) => values[other]?.some((token) => values[one]?.includes(token)))
      .map((other) => `${one} and ${other} share a token: it would have two roles.`),
  );

function refuseInProduction(
  values: Values,
  store: StoreConfig,
  provider: ProviderConfig | undefined,
): string[] {
  const problems = refuseStoreInProduction(values, store);
  for (const name of TOKENS) {
    const given = values[name] ?? [];
    const known = given.some((token) => Object.values<string>(DEVELOPMENT_TOKENS).includes(token));
    if (known) {
      problems.push(
        `${name} is not set, or is a development token that everyone knows: production needs one of its own.`,
      );
    } else if (given.some((token) => token.length < SHORTEST_PRODUCTION_TOKEN)) {
      problems.push(
        `${name} is too short for production: every token needs at least ${SHORTEST_PRODUCTION_TOKEN} characters.`,
      );
    }
  }
  if (provider?.kind === 'simulated' && values.PROVIDER === undefined) {
    problems.push(
      'CSP_API_TOKEN is not set: production needs a real provider, or PROVIDER=simulated if the simulated one is really meant.',
    );
  }
  return problems;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
