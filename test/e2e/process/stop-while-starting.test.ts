import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { composeBroker } from '../../../src/compose/index.ts';
import { loadConfig } from '../../../src/config/index.ts';
import {
  type LogLine,
  PROCESS_TIMES,
  startInVain,
  stopWhileStarting,
} from '../../support/broker/broker-process.ts';
import { freePort } from '../../support/listen.ts';
import { enginesWith } from '../../support/processes.ts';
import { temporaryFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

vi.setConfig(PROCESS_TIMES);

/** Moments, in parts of a whole start; the last ones are past its end on most machines. */
const MOMENTS = [0, 0.05, 0.15, 0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 1];

async function newFile(): Promise<string> {
  return join(await temporaryFolder(), 'sandbox-broker.db');
}

/** A broker in this process on an engine and a port of its own. */
async function embeddedBroker() {
  const file = await newFile();
  const port = await freePort();
  const env = { SANDBOX_DB_URL: `embedded:${file}`, DDB_BUCKETS: '1', PORT: String(port) };
  const broker = composeBroker(loadConfig({ ...env, LOG_LEVEL: 'silent' }));
  return { file, port, broker };
}

/** Somebody who listens on the loopback interface, on a free port or on this one; rejects where that is taken. */
async function listener(port = 0) {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.close();
    await once(server, 'close');
  };
  return { port: (server.address() as AddressInfo).port, close };
}

const noEngineOn = (file: string) =>
  until(() => enginesWith(file).length === 0, { what: 'nothing is left of the engine' });

describe('a broker that is told to stop while it starts', () => {
  test('takes down all that came up, whenever it is told', async () => {
    const first = await embeddedBroker();
    const begunMs = performance.now();
    await first.broker.start();
    const startTakesMs = performance.now() - begunMs;
    await first.broker.stop();
    const ends: string[] = [];
    for (const moment of MOMENTS) {
      const { broker, file, port } = await embeddedBroker();
      const started = broker.start().then(
        () => 'started',
        (error: { code?: string }) => String(error.code ?? error),
      );
      await new Promise((resolve) => setTimeout(resolve, moment * startTakesMs));
      await Promise.all([broker.stop(), broker.stop()]);
      ends.push(await started);
      await noEngineOn(file);
      await (await listener(port)).close();
    }
    expect(ends).toContain('SHUTTING_DOWN');
    expect(ends.filter((end) => end !== 'started' && end !== 'SHUTTING_DOWN')).toEqual([]);
  });

  test.for([
    ['has just begun', ({ action }: LogLine) => action === 'start'],
    ['has its engine', ({ action }: LogLine) => action === 'engine'],
  ] as const)('ends with 0 where its start %s', async ([, matches]) => {
    const file = await newFile();
    const end = await stopWhileStarting({ env: { SANDBOX_DB_URL: `embedded:${file}` } }, matches);
    expect(end).toMatchObject({ code: 0, signal: null, stderr: '' });
    expect(end.logs.at(-1)).toMatchObject({ action: 'shutdown', outcome: 'success' });
    expect(end.logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
    await noEngineOn(file);
  });
});

describe('a broker whose start fails half way', () => {
  test('takes its engine along', async () => {
    const file = await newFile();
    const { port, close } = await listener();
    const env = { SANDBOX_DB_URL: `embedded:${file}`, PORT: String(port) };
    const end = await startInVain({ env }).finally(close);
    expect(end).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`Port ${port} on 127.0.0.1 is in use`),
    });
    await noEngineOn(file);
  });
});
