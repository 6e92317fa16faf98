import { describe, inject } from 'vitest';
import { ENGINE_KINDS, type EngineKind } from '../../../src/store/engine/binaries.ts';

export interface TestEngine {
  name: EngineKind;
  /** Shared by the whole run: make a table of your own with a unique name. */
  endpoint: string;
}

/** Where a skipped suite's clients point to; nothing of it runs. */
const NOWHERE = 'http://127.0.0.1:9';

/**
 * The same suite once per engine. Where an engine is not available its suite is skipped, and its name says why:
 * `a lease on dynamodb-local (skipped: no java)`.
 */
export function describeOnEngines(name: string, body: (engine: TestEngine) => void): void {
  for (const kind of ENGINE_KINDS) describeOn(kind, name, body);
}

/** For suites that need many calls and prove nothing about an engine: the one that runs at memory speed. */
export function describeOnFastEngine(name: string, body: (engine: TestEngine) => void): void {
  describeOn('dynoxide', name, body);
}

function describeOn(kind: EngineKind, name: string, body: (engine: TestEngine) => void): void {
  const provided = inject('engines')[kind];
  if ('missing' in provided) {
    const suite = `${name} on ${kind} (skipped: ${provided.missing})`;
    describe.skipIf(true)(suite, () => body({ name: kind, endpoint: NOWHERE }));
    return;
  }
  describe(`${name} on ${kind}`, async () => {
    const response = await fetch(provided.startUrl);
    const endpoint = await response.text();
    if (!response.ok) throw new Error(`the engine ${kind} did not start: ${endpoint}`);
    body({ name: kind, endpoint });
  });
}
