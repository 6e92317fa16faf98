import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestProject } from 'vitest/node';
import { type EngineKind, lookUpEngine } from '../../src/store/engine/binaries.ts';
import { type Engine, startEngine } from '../../src/store/engine/engine.ts';

/** `startUrl` answers with the engine's endpoint, once the engine runs; `missing` says why it cannot. */
export type ProvidedEngine = { startUrl: string } | { missing: string };

declare module 'vitest' {
  export interface ProvidedContext {
    engines: Record<EngineKind, ProvidedEngine>;
  }
}

/**
 * One engine of each kind for the whole run, in memory: every test makes a table of its own. They start when the first
 * suite asks, so that a unit test does not pay for a Java virtual machine.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const engines = new Map<string, Promise<Engine>>();
  const starter = createServer((request, response) => {
    const kind: EngineKind = request.url === '/dynoxide' ? 'dynoxide' : 'dynamodb-local';
    const starting = engines.get(kind) ?? startEngine({ file: undefined, kind });
    engines.set(kind, starting);
    starting.then(
      (engine) => response.end(engine.endpoint),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  starter.listen(0, '127.0.0.1');
  await once(starter, 'listening');
  const { port } = starter.address() as AddressInfo;

  const only = process.env['TEST_ENGINE'] ?? '';
  const provide = async (kind: EngineKind): Promise<ProvidedEngine> => {
    if (only !== '' && kind !== only) return { missing: `only ${only} was asked for` };
    const found = await lookUpEngine(kind, undefined);
    return 'missing' in found ? found : { startUrl: `http://127.0.0.1:${port}/${kind}` };
  };
  project.provide('engines', {
    dynoxide: await provide('dynoxide'),
    'dynamodb-local': await provide('dynamodb-local'),
  });

  return async () => {
    starter.closeAllConnections();
    starter.close();
    const started = await Promise.allSettled(engines.values());
    await Promise.all(started.map((each) => (each.status === 'fulfilled' ? each.value.stop() : undefined)));
  };
}
