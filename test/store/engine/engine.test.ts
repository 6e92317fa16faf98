import { existsSync } from 'node:fs';
import { beforeEach, describe, expect, inject, onTestFinished, test, vi } from 'vitest';
import { ENGINE_KINDS, findEngine, lookUpEngine } from '../../../src/store/engine/binaries.ts';
import { type EngineEvent, startEngine } from '../../../src/store/engine/engine.ts';
import { engineAnswers } from '../../../src/store/engine/process.ts';
import { PROCESS_TIMES } from '../../support/broker/broker-process.ts';
import { processesWith } from '../../support/processes.ts';
import { until } from '../../support/until.ts';
import {
  killEngineWith,
  makeFolder,
  notInstalled,
  start,
  startBrokerProcess,
  tableOn,
} from './engine-steps.ts';

// Java starts twice in some of these, which takes long on a machine that is busy.
vi.setConfig(PROCESS_TIMES);

let folder: string;
let file: string;

beforeEach(async () => {
  ({ folder, file } = await makeFolder());
});

for (const kind of ENGINE_KINDS) {
  const provided = inject('engines')[kind];
  const missing = 'missing' in provided ? ` (skipped: ${provided.missing})` : '';

  describe.skipIf(missing)(`the embedded engine ${kind}${missing}`, () => {
    test('answers when it has started, and leaves no process and no lock behind when stopped', async () => {
      const engine = await start(file, { kind });
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
      const first = await start(file, { kind });
      const before = tableOn(first.endpoint);
      await before.create();
      await before.put('lease', 'held');
      await first.stop();

      const second = await start(file, { kind });
      expect(await tableOn(second.endpoint).get('lease')).toBe('held');
    });

    test('killed, it is back on the same port with everything it had acknowledged', async () => {
      const events: EngineEvent[] = [];
      const engine = await start(file, { kind, onEvent: (event) => events.push(event) });
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
      const next = await start(file, { kind });
      expect(await tableOn(next.endpoint).get('lease')).toBe('held');
    });
  });
}

describe('the choice of the engine', () => {
  test.skipIf('missing' in inject('engines').dynoxide)('dynoxide first, where it is there', async () => {
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
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await lookUpEngine('dynamodb-local', undefined)).toEqual({ missing: 'no java' });
  });
});
