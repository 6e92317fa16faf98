import { onTestFinished } from 'vitest';
import { composeBroker } from '../../../src/compose/index.ts';
import { loadConfig } from '../../../src/config/index.ts';
import type { LogOutput } from '../../../src/telemetry/log-output.ts';
import {
  type BrokerProcess,
  callsTo,
  type Exit,
  FOR_TESTS,
  type LogLine,
  loggedIn,
} from './broker-process.ts';

/** As a broker ends that is told to. */
const IN_PEACE: Exit = { code: 0, signal: null };

/**
 * A whole broker inside of the tests' process, with real sockets and a log: for what is not about processes. It takes a
 * tenth of what a process takes to start, and cannot be killed: `kill9` ends it in peace.
 */
export async function launchBrokerInside(env: Record<string, string>): Promise<BrokerProcess> {
  const logs: LogLine[] = [];
  const logOutput: LogOutput = {
    write: (line) => void logs.push(JSON.parse(line) as LogLine),
    flush: (done) => done(),
    endNow: () => undefined,
  };
  const broker = composeBroker(loadConfig({ PORT: '0', ...FOR_TESTS, ...env }), { logOutput });
  const { promise: exited, resolve: exit } = Promise.withResolvers<Exit>();
  const { url } = await broker.start().catch(async (error: unknown) => {
    await broker.stop();
    throw error;
  });
  const { hangUp, ...calls } = callsTo(url, env);
  const stop = async () => {
    await broker.stop();
    await hangUp();
    exit(IN_PEACE);
    return IN_PEACE;
  };
  return {
    url,
    pid: process.pid,
    logs,
    stderr: () => '',
    exited,
    logged: loggedIn(logs),
    ...calls,
    stop,
    kill9: stop,
  };
}

/** {@link launchBrokerInside} for one test: it is ended when that is over. */
export async function startBrokerInside(env: Record<string, string>): Promise<BrokerProcess> {
  const broker = await launchBrokerInside(env);
  onTestFinished(async () => void (await broker.stop()));
  return broker;
}
