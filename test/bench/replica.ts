import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { startCommand } from '../support/broker/start-command.ts';
import { until } from '../support/until.ts';
import { sum } from './statistics.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const START = startCommand();
const READY_WITHIN_MS = 60_000;
const GONE_WITHIN_MS = 30_000;
const QUIET_WITHIN_MS = 120_000;
const QUIET_FOR_MS = 300;
const QUIET_POLL_MS = 50;

/** What a replica says about itself at one moment. */
export interface Snapshot {
  /** Calls to the store so far, by operation. */
  storeCalls: Record<string, number>;
  /** Those among them that got no answer in time; most are sent again. */
  storeTimeouts: number;
  cpuSeconds: number;
  residentBytes: number;
}

/** A broker in a process of its own. */
export interface Replica {
  readonly url: string;
  readonly pid: number;
  /** From the spawn to the log line that says that it listens. */
  readonly startMs: number;
  snapshot(): Promise<Snapshot>;
  /** Ends it as an orchestrator does, once. Throws when it did not go in peace. */
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a broker as `npm start` does on a free port, with this environment and nothing else, and waits until it is ready. */
export async function startReplica(env: Record<string, string>): Promise<Replica> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, START.args, {
    cwd: ROOT,
    env: { ...START.env, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.add(child);
  const gone = once(child, 'exit').finally(() => running.delete(child));
  const { url, startMs } = await readyLine(child, startedMs);
  // What is not read would fill the pipe and stop the broker.
  child.stdout?.resume();
  await until(() => isReady(url), { timeoutMs: READY_WITHIN_MS, what: 'the replica to be ready' });
  const end = async () => {
    child.kill('SIGTERM');
    const [code] = await Promise.race([gone, delay(GONE_WITHIN_MS, ['nothing'], { ref: false })]);
    if (code !== 0) throw new Error(`a replica that was told to stop ended with ${code}`);
  };
  let ended: Promise<void> | undefined;
  return {
    url,
    pid: child.pid ?? 0,
    startMs,
    snapshot: () => snapshot(url),
    stop() {
      ended ??= end();
      return ended;
    },
  };
}

/** It has been stocked, and serves. */
async function isReady(url: string): Promise<boolean> {
  const { statusCode, body } = await request(`${url}/readyz`);
  await body.dump();
  return statusCode === 200;
}

async function readyLine(child: ChildProcess, startedMs: number): Promise<{ url: string; startMs: number }> {
  if (!child.stdout) throw new TypeError('the replica has no output');
  const lines = createInterface({ input: child.stdout });
  const tooLate = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
  try {
    for await (const line of lines) {
      const url = /"url":"(http:[^"]+)".*"msg":"(?:ready|listening): /.exec(line)?.[1];
      if (url !== undefined) return { url, startMs: performance.now() - startedMs };
    }
  } finally {
    clearTimeout(tooLate);
    lines.close();
  }
  throw new Error('a replica ended before it was ready');
}

async function snapshot(url: string): Promise<Snapshot> {
  const { statusCode, body } = await request(`${url}/metrics`);
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`/metrics answered ${statusCode}`);
  const storeCalls: Record<string, number> = {};
  let storeTimeouts = 0;
  for (const [, operation = '', outcome, value] of text.matchAll(
    /^broker_store_calls_total\{operation="(\w+)",outcome="(\w+)"\} (\S+)$/gm,
  )) {
    storeCalls[operation] = (storeCalls[operation] ?? 0) + Number(value);
    if (outcome === 'timeout') storeTimeouts += Number(value);
  }
  return {
    storeCalls,
    storeTimeouts,
    cpuSeconds: gauge(text, 'process_cpu_seconds_total'),
    residentBytes: gauge(text, 'process_resident_memory_bytes'),
  };
}

function gauge(text: string, name: string): number {
  const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`/metrics has no ${name}`);
  return Number(value);
}

/** One snapshot of all of them together. */
export async function snapshotAll(replicas: readonly Replica[]): Promise<Snapshot> {
  const each = await Promise.all(replicas.map((replica) => replica.snapshot()));
  const storeCalls: Record<string, number> = {};
  for (const one of each) {
    for (const [operation, calls] of Object.entries(one.storeCalls)) {
      storeCalls[operation] = (storeCalls[operation] ?? 0) + calls;
    }
  }
  return {
    storeCalls,
    storeTimeouts: sum(each.map((one) => one.storeTimeouts)),
    cpuSeconds: sum(each.map((one) => one.cpuSeconds)),
    residentBytes: sum(each.map((one) => one.residentBytes)),
  };
}

/** Waits until the loops' first runs are over: nobody has called the store for a while. */
export async function untilQuiet(replicas: readonly Replica[]): Promise<void> {
  const deadlineMs = performance.now() + QUIET_WITHIN_MS;
  let calls = -1;
  let sinceMs = performance.now();
  while (performance.now() - sinceMs < QUIET_FOR_MS) {
    if (performance.now() > deadlineMs) throw new Error('the replicas do not come to rest');
    const now = sum(Object.values((await snapshotAll(replicas)).storeCalls));
    if (now !== calls) sinceMs = performance.now();
    calls = now;
    await delay(QUIET_POLL_MS);
  }
}

/**
 * Waits for so many beats of every replica, and for what else happens then. The next beat comes after 5 s: a storm that
 * begins now has the store to itself. After two beats replicas that started together know each other, and have chosen
 * their hints accordingly, which they do every 10 s.
 * A beat is a `PutItem`, and while nothing is counted or cleaned up nothing else is.
 */
export async function untilBeaten(replicas: readonly Replica[], beats: number): Promise<void> {
  await Promise.all(
    replicas.map(async (replica) => {
      const puts = async () => (await replica.snapshot()).storeCalls.PutItem ?? 0;
      const before = await puts();
      await until(async () => (await puts()) >= before + beats, { timeoutMs: 60_000, what: 'beats' });
    }),
  );
  await untilQuiet(replicas);
}
