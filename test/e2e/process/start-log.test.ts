import { expect, test, vi } from 'vitest';
import { PROCESS_TIMES, startBroker } from '../../support/broker/broker-process.ts';

vi.setConfig(PROCESS_TIMES);

test('the start-up log says in one line what the checks of the store warn of', async () => {
  const broker = await startBroker({ env: { SANDBOX_DB_URL: 'memory:' } });
  const lines = broker.logs.filter(({ checks }) => checks !== undefined);
  expect(lines).toMatchObject([
    {
      level: 'warn',
      action: 'start',
      msg: expect.stringContaining('deletion_protection'),
      checks: { deletion_protection: 'Deletion protection is off: turn it on.' },
    },
  ]);
});
