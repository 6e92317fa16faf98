import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Engine, type EngineOptions, startEngine } from '../../../src/store/engine/engine.ts';
import { listenForTest } from '../../support/listen.ts';
import { enginesWith } from '../../support/processes.ts';
import { type KeyValueTable, keyValueTable } from '../../support/store/key-value-table.ts';
import { temporaryFolder } from '../../support/temp-folder.ts';

/** A folder for the running test, and a file that an engine may keep in it: removed after all that the test starts. */
export async function makeFolder(): Promise<{ folder: string; file: string }> {
  const folder = await temporaryFolder();
  return { folder, file: join(folder, 'pool.db') };
}

/** Starts an engine on a file, or in memory without one: stopped when the test ends. */
export async function start(file: string | undefined, options: Partial<EngineOptions> = {}): Promise<Engine> {
  const engine = await startEngine({ file, ...options });
  onTestFinished(() => engine.stop());
  return engine;
}

/** A table to write to and read from by whoever is at that endpoint. */
export function tableOn(endpoint: string): KeyValueTable {
  const table = keyValueTable(endpoint, 'engine-test');
  onTestFinished(() => table.close());
  return table;
}

/** Kills the engine whose command line has that text in it. */
export function killEngineWith(text: string): void {
  process.kill(enginesWith(text)[0]!.pid, 'SIGKILL');
}

/** A stranger that answers as an engine would, once it is told to. */
export async function startStranger(port = 0): Promise<{ endpoint: string; answer(): void; close(): void }> {
  let answers = false;
  const server = createServer((_request, response) => {
    response.writeHead(answers ? 200 : 503).end('{"TableNames":[]}');
  });
  return {
    endpoint: await listenForTest(server, port),
    answer: () => {
      answers = true;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Finds no package, for whoever looks for an engine. */
export function notInstalled(specifier: string): string {
  throw new Error(`not installed: ${specifier}`);
}

/** A broker of its own, as far as the engine goes: a process that starts one, says so, and then only lives. */
export async function startBrokerProcess(
  options: Partial<EngineOptions>,
): Promise<{ broker: ChildProcess; started: { endpoint: string } | { code: string } }> {
  const engineModule = new URL('../../../src/store/engine/engine.ts', import.meta.url).href;
  const script = `
    import { startEngine } from ${JSON.stringify(engineModule)};
    const started = await startEngine(${JSON.stringify(options)}).catch(({ code }) => ({ code }));
    console.log(JSON.stringify(started));
  `;
  const broker = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void broker.kill('SIGKILL'));
  const [line] = await once(broker.stdout.setEncoding('utf8'), 'data');
  return { broker, started: JSON.parse(String(line)) };
}
