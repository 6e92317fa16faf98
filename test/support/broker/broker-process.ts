import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Agent } from 'undici';
import { onTestFinished } from 'vitest';
import { until } from '../until.ts';

export const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url));
export const TRACK_TOKEN = 'dev-track-token';
export const ADMIN_TOKEN = 'dev-admin-token';

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** One line of the broker's log. */
export interface LogLine {
  level: string;
  time: string;
  msg: string;
  action?: string;
  outcome?: string;
  [field: string]: unknown;
}

/** An answer whose body is JSON, or else text. Which fields there are is for the test to know. */
export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  json: AnswerBody;
}

export interface AnswerBody {
  [field: string]: unknown;
  sandbox_id?: string;
  error?: { code: string; message: string; request_id: string; retry_after?: number };
}

export interface Call {
  headers?: Record<string, string>;
  body?: string;
}

/** A broker as a process of its own, and a client that keeps its connections. */
export interface BrokerProcess {
  readonly url: string;
  readonly pid: number;
  /** Everything it logged so far. */
  readonly logs: readonly LogLine[];
  /** Everything it wrote to standard error so far. */
  stderr(): string;
  readonly exited: Promise<Exit>;
  /** Resolves with the first line that `matches`, past ones included. */
  logged(what: string, matches: (line: LogLine) => boolean, timeoutMs?: number): Promise<LogLine>;
  call(method: 'GET' | 'POST', path: string, call?: Call): Promise<Answer>;
  /** As a track: takes a sandbox. */
  allocate(holder: string, headers?: Record<string, string>): Promise<Answer>;
  /** As a track: gives a sandbox back. */
  mark(sandboxId: string, holder: string): Promise<Answer>;
  /** As an operator. */
  admin(method: 'GET' | 'POST', path: string, headers?: Record<string, string>): Promise<Answer>;
  /** Every sample of `/metrics`, by name and labels. */
  metrics(): Promise<Record<string, number>>;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
  /** SIGKILL: no chance to say goodbye. */
  kill9(): Promise<Exit>;
}

export interface BrokerOptions {
  env?: Record<string, string>;
  /** Where it starts: relative paths, such as the default store's, are below it. */
  cwd?: string;
  /** As a newcomer starts it: every default is the broker's own. */
  unconfigured?: boolean;
}

/**
 * Bounds for tests that start processes, for `vi.setConfig`: nothing on a machine to itself comes near them, and one
 * that is busy with something else proves nothing by being slow.
 */
export const PROCESS_TIMES = { testTimeout: 120_000, hookTimeout: 120_000 };

const READY_WITHIN_MS = 60_000;
/** Longer than any answer may take: what exceeds it hangs. */
const ANSWER_WITHIN_MS = 60_000;
const LOGGED_WITHIN_MS = 40_000;
/** More than any storm sends to one replica at once. */
const CONNECTIONS = 1_000;

/** Storms come from one address, and with fewer buckets a broker has half the reading to do at its start. */
export const FOR_TESTS = { RATE_LIMIT_RPS: '1000000', RATE_LIMIT_BURST: '1000000', DDB_BUCKETS: '4' };

const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Starts a broker on a free port; it is killed when the test is over. Throws with its last words when it does not start. */
export async function startBroker(options: BrokerOptions = {}): Promise<BrokerProcess> {
  const broker = await launchBroker(options);
  onTestFinished(async () => void (await broker.kill9()));
  return broker;
}

/** {@link startBroker} for a whole suite: whoever launches ends it, with `kill9` at the latest. */
export async function launchBroker(options: BrokerOptions = {}): Promise<BrokerProcess> {
  const { env = {}, unconfigured = false } = options;
  const spawned = spawnBroker({ ...options, env: { ...(unconfigured ? {} : FOR_TESTS), ...env } });
  const { child, logs, exited, stderr, logged } = spawned;
  const started = logged('the broker is ready', isReady, READY_WITHIN_MS);
  const ready = await Promise.race([started, exited.then(() => undefined)]).catch(async (error: unknown) => {
    child.kill('SIGKILL');
    await exited;
    throw error;
  });
  if (ready === undefined) {
    started.catch(() => undefined);
    throw new Error(`the broker did not start: ${stderr()} ${JSON.stringify(logs.slice(-5))}`);
  }
  const url = String(ready.url);
  const { hangUp, ...calls } = callsTo(url, env);
  const end = async (signal: NodeJS.Signals): Promise<Exit> => {
    child.kill(signal);
    const exit = await exited;
    await hangUp();
    return exit;
  };

  return {
    url,
    pid: child.pid ?? 0,
    logs,
    stderr,
    exited,
    logged,
    ...calls,
    stop: (signal = 'SIGTERM') => end(signal),
    kill9: () => end('SIGKILL'),
  };
}

/** A client of the broker at `url`, whose tokens `env` has; `hangUp` closes its connections. */
export function callsTo(url: string, env: Record<string, string>) {
  const agent = new Agent({
    connections: CONNECTIONS,
    keepAliveTimeout: ANSWER_WITHIN_MS,
    headersTimeout: ANSWER_WITHIN_MS,
    bodyTimeout: ANSWER_WITHIN_MS,
  });
  const call: BrokerProcess['call'] = async (method, path, { headers = {}, body } = {}) => {
    const response = await agent.request({ origin: url, path, method, headers, body: body ?? null });
    const text = await response.body.text();
    const isJson = String(response.headers['content-type']).startsWith('application/json');
    return {
      status: response.statusCode,
      headers: response.headers,
      text,
      json: isJson ? (JSON.parse(text) as AnswerBody) : {},
    };
  };
  const asTrack = (holder: string) => ({
    authorization: `Bearer ${env['BROKER_API_TOKEN'] ?? TRACK_TOKEN}`,
    'x-track-id': holder,
  });
  return {
    call,
    allocate: (holder: string, headers?: Record<string, string>) =>
      call('POST', '/v1/allocate', { headers: { ...asTrack(holder), ...headers } }),
    mark: (sandboxId: string, holder: string) =>
      call('POST', `/v1/sandboxes/${sandboxId}/mark-for-deletion`, { headers: asTrack(holder) }),
    admin: (method: 'GET' | 'POST', path: string, headers?: Record<string, string>) =>
      call(method, path, {
        headers: { authorization: `Bearer ${env['BROKER_ADMIN_TOKEN'] ?? ADMIN_TOKEN}`, ...headers },
      }),
    metrics: async () => samplesOf((await call('GET', '/metrics')).text),
    hangUp: () => agent.destroy(),
  };
}

/** A broker that is not expected to come up: its end, and what it said. */
export async function startInVain(
  options: BrokerOptions,
): Promise<Exit & { stderr: string; logs: LogLine[] }> {
  const { child, logs, exited, stderr } = spawnBroker(options);
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
  const exit = await exited;
  clearTimeout(timer);
  return { ...exit, stderr: stderr(), logs };
}

/** A broker that is told to end as soon as it has logged a line that `matches`, wherever its start is by then. */
export async function stopWhileStarting(
  options: BrokerOptions,
  matches: (line: LogLine) => boolean,
): Promise<Exit & { stderr: string; logs: LogLine[] }> {
  const { child, logs, exited, stderr, logged } = spawnBroker(options);
  await logged('the start has got so far', matches, READY_WITHIN_MS);
  child.kill('SIGTERM');
  return { ...(await exited), stderr: stderr(), logs };
}

const isReady = ({ action, outcome }: LogLine): boolean => action === 'start' && outcome === 'success';

/** What a process needs to find its way, and to begin soon; nothing else of the tests' own environment. */
export const OWN_ENVIRONMENT = Object.fromEntries(
  ['PATH', 'HOME', 'NODE_COMPILE_CACHE'].map((name) => [name, process.env[name] ?? '']),
);

function spawnBroker({ env = {}, cwd }: BrokerOptions) {
  const child = spawn(process.execPath, [MAIN], {
    ...(cwd !== undefined && { cwd }),
    env: { ...OWN_ENVIRONMENT, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  alive.add(child);
  const logs: LogLine[] = [];
  createInterface(child.stdout).on('line', (line) => logs.push(JSON.parse(line) as LogLine));
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  // `close` and not `exit`: by then everything it wrote has been read.
  const exited: Promise<Exit> = once(child, 'close').then(([code, signal]) => {
    alive.delete(child);
    return { code, signal };
  });
  const logged = loggedIn(logs);
  return { child, logs, exited, stderr: () => stderr, logged };
}

export const loggedIn =
  (logs: readonly LogLine[]): BrokerProcess['logged'] =>
  (what, matches, timeoutMs = LOGGED_WITHIN_MS) =>
    until(() => logs.find(matches), { timeoutMs, what });

function samplesOf(text: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

/** How many answers there are of each kind: by status, refusals by their code, too. */
export function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, json } of answers) {
    const kind = json.error === undefined ? String(status) : `${status} ${json.error.code}`;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/** Every sandbox an operator sees, page by page; with `query` such as `status=allocated`. */
export async function listAll(broker: BrokerProcess, query = ''): Promise<AnswerBody[]> {
  const found: AnswerBody[] = [];
  let cursor: unknown;
  do {
    const resume = cursor === undefined ? '' : `&cursor=${encodeURIComponent(String(cursor))}`;
    const page = await broker.admin('GET', `/v1/admin/sandboxes?limit=100&${query}${resume}`);
    if (page.status !== 200) throw new Error(`the list was answered with ${page.status}: ${page.text}`);
    found.push(...(page.json['sandboxes'] as AnswerBody[]));
    cursor = page.json['cursor'];
  } while (cursor !== undefined);
  return found;
}
