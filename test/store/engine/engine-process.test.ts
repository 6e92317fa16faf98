import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { EngineEvent } from '../../../src/store/engine/engine.ts';
import { spawnEngine } from '../../../src/store/engine/process.ts';
import { PROCESS_TIMES } from '../../support/broker/broker-process.ts';
import { enginesWith, processesWith } from '../../support/processes.ts';
import { until } from '../../support/until.ts';
import { killEngineWith, makeFolder, start, startStranger } from './engine-steps.ts';

vi.setConfig(PROCESS_TIMES);

let folder: string;
let file: string;

beforeEach(async () => {
  ({ folder, file } = await makeFolder());
});

describe('the engine as a child process', () => {
  test('the shell around it killed alone takes the engine with it, and both come back', async () => {
    const events: EngineEvent[] = [];
    await start(file, { onEvent: (event) => events.push(event) });
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
    const engine = await start(file);
    killEngineWith(file);
    await until(() => !engine.running, { what: 'the death is noticed' });
    await engine.stop();
    expect(processesWith(file)).toEqual([]);
    expect(engine.running).toBe(false);
  });

  test('a stranger on its port is never taken for the engine, which comes back when the port is free', async () => {
    const events: EngineEvent[] = [];
    const engine = await start(file, { onEvent: (event) => events.push(event) });
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
    onTestFinished(() => void vi.unstubAllEnvs());
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
