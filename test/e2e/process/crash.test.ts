import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { listAll, PROCESS_TIMES, startBroker, tally } from '../../support/broker/broker-process.ts';
import { enginesWith } from '../../support/processes.ts';
import { temporaryFolder } from '../../support/temp-folder.ts';
import { until } from '../../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const CALLERS = 40;
const LEASES_BEFORE_KILL = 100;

test('after kill -9 under load and a restart, every lease a caller was told of is still its own', async () => {
  const folder = await temporaryFolder();
  const file = join(folder, 'pool.db');
  const start = () =>
    startBroker({
      cwd: folder,
      env: { SANDBOX_DB_URL: `embedded:${file}`, SIMULATED_POOL_SIZE: '600', CLEANUP_INTERVAL_SEC: '3600' },
    });
  const victim = await start();
  await victim.logged('a pool to lease from', ({ created }) => created === 600);

  /** Sandbox by holder, as the callers were told. */
  const told = new Map<string, string>();
  /** Callers whose call was cut off: they cannot know. */
  const inDoubt: string[] = [];
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let call = 0; ; call++) {
      const holder = `caller-${caller}-${call}`;
      const answer = await victim.allocate(holder).catch(() => undefined);
      if (answer === undefined) return void inDoubt.push(holder);
      expect(answer.status).toBe(201);
      told.set(holder, String(answer.json.sandbox_id));
    }
  });
  await until(() => told.size >= LEASES_BEFORE_KILL, { what: 'leases to lose' });
  await victim.kill9();
  await Promise.all(callers);
  expect(inDoubt).toHaveLength(CALLERS);

  // At once, as a supervisor would: the engine of the dead one may still be on its way out.
  const heir = await start();
  const replays = await Promise.all([...told.keys()].map((holder) => heir.allocate(holder)));
  expect(tally(replays)).toEqual({ 200: told.size });
  expect(replays.map(({ json }) => json.sandbox_id)).toEqual([...told.values()]);

  // Whoever was cut off asks again, and gets what it may have won, or a free one: nobody else's.
  const retries = await Promise.all(inDoubt.map((holder) => heir.allocate(holder)));
  expect(retries.filter(({ status }) => status > 201)).toEqual([]);
  const holders = new Map([...told].map(([holder, sandboxId]) => [sandboxId, holder]));
  for (const [index, { json }] of retries.entries()) holders.set(String(json.sandbox_id), inDoubt[index]!);
  expect(holders.size).toBe(told.size + inDoubt.length);
  const leased = await listAll(heir, 'status=allocated');
  expect(leased.map((each) => [each.sandbox_id, each['allocated_to_track']]).sort()).toEqual(
    [...holders].sort(),
  );

  // One engine for the living, none of the dead.
  expect(enginesWith(file)).toHaveLength(1);
  await heir.kill9();
  await until(() => enginesWith(file).length === 0, { what: 'no engine is left behind' });
});
