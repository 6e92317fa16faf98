import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest';
import { type Engine, type EngineEvent, type EngineOptions, startEngine } from '../../src/store/engine.ts';
import { ENGINE_KINDS, findEngine, lookUpEngine } from '../../src/store/engine-binaries.ts';
import { engineLock } from '../../src/store/engine-file.ts';
import { engineAnswers, spawnEngine } from '../../src/store/engine-process.ts';
import { PROCESS_TIMES } from '../support/broker-process.ts';
import { type KeyValueTable, keyValueTable } from '../support/key-value-table.ts';
import { enginesWith, processesWith } from '../support/processes.ts';
import { until } from '../support/until.ts';

// Java starts twice in some of these, which takes long on a machine that is busy.
vi.setConfig(PROCESS_TIMES);

let folder: string;
let file: string;
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'broker-engine-'));
  file = join(folder, 'pool.db');
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await rm(folder, { recursive: true, force: true });
});

async function start(options: Partial<EngineOptions> = {}): Promise<Engine> {
  const engine = await startEngine({ file, ...options });
  cleanups.push(() => engine.stop());
  return engine;
}

function tableOn(endpoint: string): KeyValueTable {
  const table = keyValueTable(endpoint, 'engine-test');
  cleanups.push(() => table.close());
  return table;
}

function killEngineWith(text: string): void {
  process.kill(enginesWith(text)[0]!.pid, 'SIGKILL');
}

async function fileAt(name: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, '');
  return path;
}

/** A stranger that answers as an engine would, once it is told to. */
async function startStranger(port = 0): Promise<{ endpoint: string; answer(): void; close(): void }> {
  let answers = false;
  const server = createServer((_request, response) => {
    response.writeHead(answers ? 200 : 503).end('{"TableNames":[]}');
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  cleanups.push(close);
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: () => {
      answers = true;
    },
    close,
  };
}

function notInstalled(specifier: string): string {
  throw new Error(`not installed: ${specifier}`);
}

/** A broker of its own, as far as the engine goes: a process that starts one, says so, and then only lives. */
async function startBrokerProcess(
  options: Partial<EngineOptions>,
): Promise<{ broker: ChildProcess; started: { endpoint: string } | { code: string } }> {
  const engineModule = new URL('../../src/store/engine.ts', import.meta.url).href;
  const script = `
    import { startEngine } from ${JSON.stringify(engineModule)};
    const started = await startEngine(${JSON.stringify(options)}).catch(({ code }) => ({ code }));
    console.log(JSON.stringify(started));
  `;
  const broker = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(() => broker.kill('SIGKILL'));
  const [line] = await once(broker.stdout.setEncoding('utf8'), 'data');
  return { broker, started: JSON.parse(String(line)) };
}

for (const kind of ENGINE_KINDS) {
  const provided = inject('engines')[kind];
  const missing = 'missing' in provided ? ` (skipped: ${provided.missing})` : '';

  describe.skipIf(missing)(`the embedded engine ${kind}${missing}`, () => {
    test('answers when it has started, and leaves no process and no lock behind when stopped', async () => {
      const engine = await start({ kind });
      expect(engine.kind).toBe(kind);
      expect(engine.running).toBe(true);
      expect(await engineAnswers(engine.endpoint, 1_000)).toBe(true);
      expect(processesWith(file)).not.toHaveLength(0);

      await engine.stop();
      expect(processesWith(file)).toEqual([]);
      expect(existsSync(`${file}.lock`)).toBe(false);
      expect(engine.running).toBe(false);
      await engine.stop();
    });

    test('keeps what was acknowledged over a stop and a start', async () => {
      const first = await start({ kind });
      const before = tableOn(first.endpoint);
      await before.create();
      await before.put('lease', 'held');
      await first.stop();

      const second = await start({ kind });
      expect(await tableOn(second.endpoint).get('lease')).toBe('held');
    });

    test('killed, it is back on the same port with everything it had acknowledged', async () => {
      const events: EngineEvent[] = [];
      const engine = await start({ kind, onEvent: (event) => events.push(event) });
      const table = tableOn(engine.endpoint);
      await table.create();

      // It dies under writes: what counts is what it had answered until then.
      let acknowledged = 0;
      const writing = (async () => {
        for (;;) {
          await table.put(`key-${acknowledged}`, 'kept');
          acknowledged += 1;
        }
      })();
      writing.catch(() => undefined);
      await until(() => acknowledged >= 50, { what: '50 writes are acknowledged' });
      killEngineWith(file);
      await expect(writing).rejects.toThrow();
      await until(() => !engine.running, { what: 'the death is noticed' });
      await until(() => engine.running, { timeoutMs: 30_000, what: 'the engine is back' });

      for (let index = 0; index < acknowledged; index += 1)
        expect(await table.get(`key-${index}`)).toBe('kept');
      expect(events).toMatchObject([
        { type: 'exited', code: null, signal: 'SIGKILL' },
        { type: 'restarted', downMs: expect.any(Number) },
      ]);
    });

    test('an aborted start leaves nothing behind', async () => {
      const controller = new AbortController();
      const starting = startEngine({ file, kind }, controller.signal);
      await until(() => processesWith(file).length > 0, { what: 'a process' });
      controller.abort(new Error('not needed any more'));
      // The abort and a quick engine race: either the start was aborted, or there is an engine to stop.
      await starting.then(
        (engine) => engine.stop(),
        (error: unknown) => expect(String(error)).toContain('not needed any more'),
      );
      expect(processesWith(file)).toEqual([]);
      expect(existsSync(`${file}.lock`)).toBe(false);
    });

    test('dies with the broker when that is killed, and the next broker finds everything', async () => {
      const { broker, started } = await startBrokerProcess({ file, kind });
      const table = tableOn('endpoint' in started ? started.endpoint : started.code);
      await table.create();
      await table.put('lease', 'held');

      broker.kill('SIGKILL');
      await until(() => processesWith(file).length === 0, { what: 'nothing is left' });

      // The lock of the killed broker is still there and must not be in the way.
      expect(existsSync(`${file}.lock`)).toBe(true);
      const next = await start({ kind });
      expect(await tableOn(next.endpoint).get('lease')).toBe('held');
    });
  });
}

describe('the engine and its file', () => {
  test('memory keeps nothing and needs no file', async () => {
    const engine = await start({ file: undefined });
    const table = tableOn(engine.endpoint);
    await table.create();
    await table.put('lease', 'held');
    await engine.stop();
    const again = await start({ file: undefined });
    await expect(tableOn(again.endpoint).get('lease')).rejects.toThrow(/not found/i);
  });

  test('the folder is made', async () => {
    file = join(folder, 'not', 'yet', 'there', 'pool.db');
    await start();
    expect(existsSync(file)).toBe(true);
  });

  test.each([
    ['below a regular file', async () => join(await fileAt('plain'), 'pool.db')],
    ['a folder', async () => folder],
    ['where nobody can write', async () => '/proc/broker/pool.db'],
    ['directly in such a folder', async () => '/proc/pool.db'],
    ['a device', async () => '/dev/null'],
  ])('a path that is %s is refused with a sentence that names it', async (_what, makePath) => {
    const path = await makePath();
    const error = await startEngine({ file: path }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'EngineError', code: 'ENGINE_FILE_UNUSABLE' });
    expect(String(error)).toContain(path);
    expect(String(error)).toContain('SANDBOX_DB_URL');
    expect(String(error)).not.toContain('\n');
  });

  test('a file that is no database is refused in the words of the engine', async () => {
    await writeFile(file, 'not a database '.repeat(500));
    const error = await startEngine({ file, kind: 'dynoxide' }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ENGINE_FAILED' });
    expect(String(error)).toContain(file);
    expect(String(error)).toMatch(/not a valid SQLite database/);
    expect(existsSync(`${file}.lock`)).toBe(false);
  });

  test('two brokers on one file: the second is told where the first one is', async () => {
    const first = await start();
    const error = await startEngine({ file }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ENGINE_FILE_IN_USE' });
    expect(String(error)).toContain(`SANDBOX_DB_URL=${first.endpoint}`);
    // The refusal has harmed neither the engine nor its lock.
    expect(await engineAnswers(first.endpoint, 1_000)).toBe(true);
    expect(await readFile(`${file}.lock`, 'utf8')).toContain(first.endpoint);
  });

  test('several brokers started at the same moment over a stale lock: exactly one gets the file', async () => {
    await writeFile(`${file}.lock`, '{"endpoint":"http://127.0.0.1:9"}');
    const brokers = await Promise.all(Array.from({ length: 4 }, () => startBrokerProcess({ file })));
    const endpoints = brokers.flatMap(({ started }) => ('endpoint' in started ? [started.endpoint] : []));
    const refusals = brokers.flatMap(({ started }) => ('code' in started ? [started.code] : []));
    expect(refusals).toEqual(Array(3).fill('ENGINE_FILE_IN_USE'));
    expect(endpoints).toHaveLength(1);
    expect(await readFile(`${file}.lock`, 'utf8')).toContain(endpoints[0]);
    expect(enginesWith(file)).toHaveLength(1);
  });

  test('of two that claim before either answers, the last one gets the file', async () => {
    const [first, second] = [engineLock(file), engineLock(file)];
    await first.claim('http://127.0.0.1:8');
    await second.claim('http://127.0.0.1:9');
    await expect(first.confirm('http://127.0.0.1:8')).rejects.toMatchObject({ code: 'ENGINE_FILE_IN_USE' });
    first.release('http://127.0.0.1:8');
    await second.confirm('http://127.0.0.1:9');
    expect(await readFile(`${file}.lock`, 'utf8')).toContain('http://127.0.0.1:9');
  });

  test('who claimed over an engine that was just being confirmed gives way to it', async () => {
    const stranger = await startStranger();
    await writeFile(`${file}.lock`, JSON.stringify({ endpoint: stranger.endpoint }));
    const late = engineLock(file);
    await late.claim('http://127.0.0.1:9');
    stranger.answer();
    await expect(late.confirm('http://127.0.0.1:9')).rejects.toMatchObject({ code: 'ENGINE_FILE_IN_USE' });
    expect(await readFile(`${file}.lock`, 'utf8')).toContain(stranger.endpoint);
  });

  test.each(['', 'garbage', '{"endpoint":"http://127.0.0.1:9"}', '{"endpoint":"http://example.com/"}'])(
    'a stale or broken lock (%j) is in nobody’s way',
    async (content) => {
      await writeFile(`${file}.lock`, content);
      const engine = await start();
      expect(await readFile(`${file}.lock`, 'utf8')).toContain(engine.endpoint);
    },
  );

  test('data of one engine is never silently replaced by an empty table of the other', async () => {
    await mkdir(`${file}.dynamodb-local`);
    const error = await findEngine(file, undefined, notInstalled).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ENGINE_MISSING' });
    expect(String(error)).toContain(`${file}.dynamodb-local holds data of the engine dynamodb-local`);
    if ('missing' in inject('engines')['dynamodb-local']) return;
    expect((await findEngine(file)).kind).toBe('dynamodb-local');
  });
});

describe('the choice of the engine', () => {
  test('dynoxide first, where both are there', async () => {
    if ('missing' in inject('engines').dynoxide) return;
    expect((await findEngine(undefined)).kind).toBe('dynoxide');
  });

  test('with neither, one sentence says what to install', async () => {
    const error = await findEngine(undefined, undefined, notInstalled).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'EngineError', code: 'ENGINE_MISSING' });
    expect(String(error)).toMatch(/install the npm package @dynoxide\/\S+, or Java 17 and .*SANDBOX_DB_URL/);
    expect(String(error)).not.toContain('\n');
  });

  test('DynamoDB Local without Java says so', async () => {
    vi.stubEnv('PATH', folder);
    cleanups.push(() => vi.unstubAllEnvs());
    expect(await lookUpEngine('dynamodb-local', undefined)).toEqual({ missing: 'no java' });
  });
});

describe('the engine as a child process', () => {
  test('the shell around it killed alone takes the engine with it, and both come back', async () => {
    const events: EngineEvent[] = [];
    await start({ onEvent: (event) => events.push(event) });
    const shell = processesWith(file).find(({ commandLine }) =>
      commandLine.includes('sandbox-broker-engine'),
    );
    process.kill(shell!.pid, 'SIGKILL');
    await until(() => events.some(({ type }) => type === 'restarted'), {
      what: 'a restart',
    });
    expect(enginesWith(file)).toHaveLength(1);
  });

  test('stopped while it is being restarted, it stays away', async () => {
    const engine = await start();
    killEngineWith(file);
    await until(() => !engine.running, { what: 'the death is noticed' });
    await engine.stop();
    expect(processesWith(file)).toEqual([]);
    expect(engine.running).toBe(false);
  });

  test('a stranger on its port is never taken for the engine, which comes back when the port is free', async () => {
    const events: EngineEvent[] = [];
    const engine = await start({ onEvent: (event) => events.push(event) });
    killEngineWith(file);
    const port = Number(new URL(engine.endpoint).port);
    const stranger = await until(() => startStranger(port), { what: 'the port is taken' });
    stranger.answer();
    const failures = () => events.filter(({ type }) => type === 'restart_failed');
    await until(() => failures().length >= 2, { what: 'two restarts have failed' });
    expect(events.some(({ type }) => type === 'restarted')).toBe(false);
    expect(engine.running).toBe(false);
    stranger.close();
    await until(() => engine.running, { what: 'the engine is back' });
  });

  test('one that ignores SIGTERM is killed', async () => {
    const script =
      'process.on("SIGTERM", () => undefined); setInterval(() => undefined, 1000); console.log("up")';
    const stubborn = spawnEngine(process.execPath, ['-e', script, folder]);
    await until(() => stubborn.output().includes('up'), { what: 'it ignores the signal' });
    await stubborn.terminate();
    expect(stubborn.alive).toBe(false);
    expect(processesWith(folder)).toEqual([]);
  });

  test("it is not told what is in the broker's environment", async () => {
    vi.stubEnv('BROKER_ADMIN_TOKEN', 'not-for-engines');
    cleanups.push(() => vi.unstubAllEnvs());
    const engine = spawnEngine('/usr/bin/env', []);
    await engine.gone;
    expect(engine.output()).toContain('PATH=');
    expect(engine.output()).not.toContain('not-for-engines');
  });

  test('a program that does not exist ends with a reason', async () => {
    const nothing = spawnEngine(join(folder, 'nothing'), []);
    expect(await nothing.gone).toEqual({ code: 127, signal: null });
    expect(nothing.output()).toMatch(/No such file or directory/);
  });
});
