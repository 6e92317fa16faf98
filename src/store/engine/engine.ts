import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { resolve as resolvePath } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type EngineKind, type EngineProgram, findEngine } from './binaries.ts';
import { EngineError } from './error.ts';
import { engineLock, prepareFile } from './file.ts';
import { type EngineExit, type EngineProcess, engineAnswers, spawnEngine } from './process.ts';

/** What happens to a running engine, for the log. `output` is the last of what the engine wrote. */
export type EngineEvent =
  | ({ type: 'exited'; output: string } & EngineExit)
  | { type: 'restarted'; downMs: number }
  | { type: 'restart_failed'; error: unknown };

export interface EngineOptions {
  /** The database file; `undefined` keeps everything in memory. */
  file: string | undefined;
  /** Forces one engine; without it the file's own, else the first one available. */
  kind?: EngineKind;
  onEvent?: (event: EngineEvent) => void;
}

/** A database engine as a child process: restarted when it dies, gone when this process is gone. */
export interface Engine {
  readonly kind: EngineKind;
  /** Stays the same over restarts. */
  readonly endpoint: string;
  /** False while it is being restarted, and after `stop()`. */
  readonly running: boolean;
  /** `listener` is told whenever it died and is back; one without a file has forgotten everything by then. */
  onRestart(listener: () => void): void;
  /** Ends the engine within about two seconds. Resolves when its process is gone; can be called again. */
  stop(): Promise<void>;
}

const PORT_ATTEMPTS = 5;
const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 2_000;
/** An engine that ran this long was not in a crash loop: the next restart begins at the first backoff again. */
const STEADY_AFTER_MS = 10_000;
const PROBE_TIMEOUT_MS = 1_000;
const FIRST_PROBE_DELAY_MS = 5;
const MAX_PROBE_DELAY_MS = 100;

/**
 * Starts an embedded engine on a free loopback port and resolves when it answers. `signal` ends the attempt to start,
 * not the engine that runs.
 *
 * @throws EngineError with one sentence for whoever starts the broker
 */
export async function startEngine(options: EngineOptions, signal?: AbortSignal): Promise<Engine> {
  signal?.throwIfAborted();
  const file = options.file === undefined ? undefined : resolvePath(options.file);
  if (file !== undefined) await prepareFile(file);
  const program = await findEngine(file, options.kind);
  const lock = file === undefined ? undefined : engineLock(file);

  const launch = async (port: number, launchSignal?: AbortSignal): Promise<EngineProcess> => {
    const endpoint = endpointOf(port);
    await lock?.claim(endpoint);
    if (program.kind === 'dynamodb-local' && program.dataPath)
      await mkdir(program.dataPath, { recursive: true });
    const launched = spawnEngine(program.command, program.args(port));
    try {
      await untilReady(program, launched, endpoint, launchSignal);
      await lock?.confirm(endpoint);
      return launched;
    } catch (error) {
      await launched.terminate();
      lock?.release(endpoint);
      throw error;
    }
  };

  const { port, launched } = await launchOnFreePort(launch, signal);
  const endpoint = endpointOf(port);
  const stopping = new AbortController();
  const restartListeners: (() => void)[] = [];
  let child = launched;
  let running = true;

  /** Resolves when there is an engine again, or `stop()` was called. */
  const restart = async (firstBackoffMs: number): Promise<number> => {
    let backoffMs = firstBackoffMs;
    while (await waited(backoffMs, stopping.signal)) {
      backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
      try {
        // Who took the port while it was free may be another broker's engine: it must not be mistaken for ours.
        await freePort(port);
        child = await launch(port, stopping.signal);
        break;
      } catch (error) {
        if (!stopping.signal.aborted) options.onEvent?.({ type: 'restart_failed', error });
      }
    }
    return backoffMs;
  };

  const supervise = async () => {
    let backoffMs = FIRST_BACKOFF_MS;
    let startedAtMs = performance.now();
    for (;;) {
      const exit = await child.gone;
      running = false;
      if (stopping.signal.aborted) return;
      const diedAtMs = performance.now();
      options.onEvent?.({ type: 'exited', ...exit, output: child.output() });
      if (diedAtMs - startedAtMs > STEADY_AFTER_MS) backoffMs = FIRST_BACKOFF_MS;
      backoffMs = await restart(backoffMs);
      if (stopping.signal.aborted) return await child.terminate();
      startedAtMs = performance.now();
      running = true;
      options.onEvent?.({ type: 'restarted', downMs: startedAtMs - diedAtMs });
      for (const listener of restartListeners) listener();
    }
  };
  const supervision = supervise();

  return {
    kind: program.kind,
    endpoint,
    get running() {
      return running;
    },
    onRestart: (listener) => void restartListeners.push(listener),
    async stop() {
      stopping.abort();
      await child.terminate();
      await supervision;
      lock?.release(endpoint);
    },
  };
}

function endpointOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}

/** A port that was free can be taken a moment later, when the engine wants it. Then the next one is tried. */
async function launchOnFreePort(
  launch: (port: number, signal?: AbortSignal) => Promise<EngineProcess>,
  signal: AbortSignal | undefined,
): Promise<{ port: number; launched: EngineProcess }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return { port, launched: await launch(port, signal) };
    } catch (error) {
      if (attempt === PORT_ATTEMPTS || !(error instanceof PortTakenError)) throw error;
    }
  }
}

/** Resolves with a port of the loopback interface that nobody listens on; rejects when the wanted one is taken. */
function freePort(wanted = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(wanted, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

class PortTakenError extends EngineError {}

async function untilReady(
  program: EngineProgram,
  launched: EngineProcess,
  endpoint: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deadlineMs = performance.now() + program.readyTimeoutMs;
  let probeDelayMs = FIRST_PROBE_DELAY_MS;
  for (;;) {
    signal?.throwIfAborted();
    const answers = await engineAnswers(endpoint, PROBE_TIMEOUT_MS);
    // In this order: what answers may be a stranger on a port that our engine did not get.
    if (!launched.alive) throw failedToStart(program, launched.output());
    if (answers) return;
    if (performance.now() > deadlineMs) {
      throw new EngineError(
        'ENGINE_FAILED',
        `the database engine ${program.kind} did not answer within ${program.readyTimeoutMs} ms`,
      );
    }
    await waited(probeDelayMs, signal);
    probeDelayMs = Math.min(probeDelayMs * 2, MAX_PROBE_DELAY_MS);
  }
}

function failedToStart(program: EngineProgram, output: string): EngineError {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const telling =
    lines.find((line) => /error|exception|invalid|fail/i.test(line)) ?? lines.at(-1) ?? 'no output';
  const where = program.dataPath === undefined ? '' : ` on ${program.dataPath} (SANDBOX_DB_URL)`;
  const message = `the database engine ${program.kind} ended while starting${where}: ${telling.trim()}`;
  return /already in use|failed to bind/i.test(output)
    ? new PortTakenError('ENGINE_FAILED', message)
    : new EngineError('ENGINE_FAILED', message);
}

/** Waits; false when the signal cut it short. */
async function waited(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    await delay(ms, undefined, signal && { signal });
    return true;
  } catch {
    return false;
  }
}
