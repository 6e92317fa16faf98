import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'undici';
import { expect, onTestFinished, test, vi } from 'vitest';
import { MAIN, OWN_ENVIRONMENT, PROCESS_TIMES } from '../../support/broker/broker-process.ts';
import { freePort } from '../../support/listen.ts';
import { until } from '../../support/until.ts';

vi.setConfig(PROCESS_TIMES);

/** The longest path that is logged whole. */
const LONG_PATH = `/${'x'.repeat(250)}`;
const AT_ONCE = 50;
const DROPPED = /^broker_log_lines_dropped_total (\d+)$/m;

test('a broker whose standard output nobody reads answers on, counts the lines it drops, and ends well', async () => {
  const port = await freePort();
  const child = spawn(process.execPath, [MAIN], {
    env: {
      ...OWN_ENVIRONMENT,
      PORT: String(port),
      SANDBOX_DB_URL: 'memory:',
      RATE_LIMIT_RPS: '1000000',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const agent = new Agent({ connections: AT_ONCE });
  onTestFinished(() => agent.destroy());
  const get = async (path: string) => {
    const { statusCode, body } = await agent.request({
      origin: `http://127.0.0.1:${port}`,
      path,
      method: 'GET',
    });
    return { status: statusCode, text: await body.text() };
  };
  const dropped = async () => Number(DROPPED.exec((await get('/metrics')).text)?.[1]);

  await until(async () => (await get('/readyz')).status === 200, { timeoutMs: 60_000, what: 'it is ready' });
  expect(await dropped()).toBe(0);
  await until(
    async () => {
      await Promise.all(Array.from({ length: AT_ONCE * 10 }, () => get(LONG_PATH)));
      return (await dropped()) > AT_ONCE;
    },
    { timeoutMs: 60_000, what: 'lines are dropped' },
  );
  expect((await get('/readyz')).status).toBe(200);
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});
