import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createLoop, type LoopOptions, type RunReport } from '../../src/loops/loop.ts';
import { createHeartbeat } from '../../src/safety/heartbeat/heartbeat.ts';
import { createTurns } from '../../src/store/shared/turns.ts';
import { context, type TestCore } from '../support/broker/core.ts';
import { giveBack, lease, someAccounts, startCspCore, stockCsp, sync } from '../support/broker/csp-core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { holdAnswers, injectFaults } from '../support/store/injected-faults.ts';
import { until } from '../support/until.ts';

/** Longer than a turn lasts. */
const SUSPENDED_S = 31;

type Work = LoopOptions<object>['work'];

/** Each has something to act on, and reads what that is before it does. */
const WORKS: [string, (core: TestCore) => Promise<unknown>, (core: TestCore) => Work][] = [
  [
    'a sync',
    async (core) => core,
    ({ work }) =>
      async (_o, by) => ({ ...(await work.sync({ force: true }, by)) }),
  ],
  [
    'a cleanup',
    (core) => giveBack(core, 2),
    ({ work }) =>
      async (_o, by) => ({ ...(await work.cleanup(by)) }),
  ],
  [
    'an expiry',
    async (core) => {
      await lease(core, 'a');
      core.clock.advanceSeconds(5 * 3_600);
    },
    ({ work }) =>
      async (_o, by) => ({ ...(await work.expire(by)) }),
  ],
  [
    'a purge',
    async (core) => {
      await sync(core, true);
      core.clock.advanceSeconds(25 * 3_600);
    },
    ({ work }) =>
      async (_o, by) => ({ ...(await work.purge({ gracePeriodHours: 24 }, by)) }),
  ],
];

describeOnFastEngine('a machine that was suspended in the middle of a run', ({ endpoint }) => {
  async function startRun(
    prepare: (core: TestCore) => Promise<unknown>,
    work: (core: TestCore) => Work,
    name: string,
  ) {
    const { core, csp } = await startCspCore(endpoint);
    await stockCsp(core, csp, someAccounts(3));
    // To be withdrawn by the next sync.
    if (name === 'a sync' || name === 'a purge') csp.accounts.clear();
    await prepare(core);
    const reports: RunReport[] = [];
    const loop = createLoop<object>(
      {
        turns: core.turns,
        clock: core.clock,
        newId: randomUUID,
        heartbeat: createHeartbeat(),
        report: (report) => reports.push(report),
        alert: () => undefined,
        correlate: (_ids, run) => run(),
      },
      { name: 'loop', action: 'loop', intervalMs: 3_600_000, options: {}, work: work(core) },
    );
    const faults = injectFaults(core.client);
    const held = holdAnswers();
    faults.next('Query', held.fault, { times: Infinity });
    const asked = loop.runNow({}, context()).catch((error: unknown) => error);
    await until(() => held.waiting > 0, { what: 'the run has read what it is to act on' });
    const writes = () =>
      faults.calls.filter(
        ({ operation, json }) => /Put|Transact|Update/.test(operation) && !json.includes('TURN#'),
      ).length;
    const before = writes();
    return {
      core,
      reports,
      /** What the run writes once it wakes up. */
      async wakeUpAfter(seconds: number) {
        core.clock.advanceSeconds(seconds);
        held.release();
        await asked;
        return writes() - before;
      },
    };
  }

  test.each(WORKS)(
    '%s does nothing more: its turn is over by the wall clock',
    async (name, prepare, work) => {
      const { core, reports, wakeUpAfter } = await startRun(prepare, work, name);
      expect(await wakeUpAfter(SUSPENDED_S)).toBe(0);
      expect(reports).toMatchObject([{ outcome: 'aborted' }]);
      const other = createTurns(core.client, 'another', core.clock);
      expect(await other.take('loop', { ttlMs: 1, onlyIfDue: true })).toHaveProperty('turn.fence', 2);
    },
  );

  test.each(WORKS)('%s goes on while its turn lasts', async (name, prepare, work) => {
    const { reports, wakeUpAfter } = await startRun(prepare, work, name);
    expect(await wakeUpAfter(SUSPENDED_S - 2)).toBeGreaterThan(0);
    expect(reports).toMatchObject([{ outcome: 'success' }]);
  });
});
