import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test, vi } from 'vitest';
import { MAIN } from '../support/broker/broker-process.ts';
import { until } from '../support/until.ts';

/** The collector looks every 8 s, and wants to see less and less done; on a busy machine the start alone takes long. */
const SEEN_WITHIN_MS = 150_000;

vi.setConfig({ testTimeout: SEEN_WITHIN_MS + 10_000 });

test('a broker that has nothing to do is seen to rest, and gives memory back', async () => {
  const env = { PATH: process.env['PATH'], SANDBOX_DB_URL: 'memory:', PORT: '0' };
  const child = spawn(process.execPath, ['--trace-memory-reducer', MAIN], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await gone;
  });
  let trace = '';
  child.stdout.on('data', (data: Buffer) => {
    trace += data.toString();
  });
  const isSeen = () => trace.includes('Memory reducer: low alloc') || child.exitCode !== null;
  await until(isSeen, { timeoutMs: SEEN_WITHIN_MS, what: 'the collector to see that nothing is done' });
  await until(() => trace.includes('Memory reducer: started GC'), { what: 'the collector to begin' });
  expect(child.exitCode).toBeNull();
});
