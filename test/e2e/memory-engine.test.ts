import { expect, test, vi } from 'vitest';
import { PROCESS_TIMES, startBroker } from '../support/broker/broker-process.ts';
import { enginesWith } from '../support/processes.ts';
import { until } from '../support/until.ts';

vi.setConfig(PROCESS_TIMES);

test('a broker whose engine in memory died says what is lost, makes the table anew and serves again', async () => {
  const broker = await startBroker({ env: { SANDBOX_DB_URL: 'memory:', SIMULATED_POOL_SIZE: '3' } });
  const allocate = async (holder: string) => (await broker.allocate(holder)).status;
  await until(async () => (await allocate('before')) === 201, { what: 'the pool is stocked' });

  const { endpoint } = await broker.logged('the engine', ({ msg }) => msg === 'engine started');
  const [engine] = enginesWith(new URL(String(endpoint)).port);
  process.kill(engine?.pid ?? Number.NaN, 'SIGKILL');

  expect(await broker.logged('the loss', ({ outcome }) => outcome === 'emptied')).toMatchObject({
    level: 'error',
    action: 'engine',
  });
  await broker.logged('the table', ({ outcome }) => outcome === 'refilled');
  await until(async () => (await broker.call('GET', '/readyz')).status === 200, {
    what: 'it is ready again',
  });
  expect(await Promise.all(['a', 'b', 'c'].map(allocate))).toEqual([201, 201, 201]);
  expect(broker.logs.filter(({ error_code }) => error_code === 'INTERNAL')).toEqual([]);
});
