import { expect, onTestFinished, test, vi } from 'vitest';
import { type BrokerProcess, PROCESS_TIMES, startBroker } from '../support/broker/broker-process.ts';
import { uniqueTable } from '../support/broker/core.ts';
import { fastClock, fastClockEnv } from '../support/broker/fast-clock.ts';
import { account, startFakeCsp } from '../support/provider/fake-csp.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { until } from '../support/until.ts';

vi.setConfig(PROCESS_TIMES);

const CSP_TOKEN = 'csp-token';
const STATUSES = [200, 202, 204] as const;
/** The brokers' clock against the real one. */
const CLOCK_RATE = 10;
/** By that clock, milliseconds: far longer than clocks may differ. */
const LISTED_FOR_MS = 60_000;
const WITHIN_MS = 60_000;

/** What all runs of these brokers have counted under these names, together. */
const counted = (brokers: readonly BrokerProcess[], ...names: string[]): number =>
  brokers
    .flatMap(({ logs }) => logs.filter(({ outcome }) => outcome === 'success'))
    .reduce((sum, line) => names.reduce((all, name) => all + Number(line[name] ?? 0), sum), 0);

describeOnFastEngine('brokers whose provider goes on listing what it deleted', ({ endpoint }) => {
  test('lease it to nobody, also after a restart, until they have seen it gone', async () => {
    const originMs = Date.now();
    const clock = fastClock(CLOCK_RATE, originMs);
    const toAnswer = [...STATUSES];
    const csp = await startFakeCsp({
      token: CSP_TOKEN,
      onDelete: () => {
        csp.settings.deleteStatus = toAnswer.pop() ?? 204;
      },
    });
    onTestFinished(() => csp.close());
    csp.settings.listedForMs = Number.POSITIVE_INFINITY;
    const accounts = csp.add(...STATUSES.map(() => account()));
    const env = {
      DDB_ENDPOINT_URL: endpoint,
      DDB_TABLE_NAME: uniqueTable(),
      CSP_BASE_URL: csp.baseUrl,
      CSP_API_TOKEN: CSP_TOKEN,
      SYNC_INTERVAL_SEC: '0.5',
      CLEANUP_INTERVAL_SEC: '0.5',
      ...fastClockEnv(CLOCK_RATE, originMs),
    };
    const first = await startBroker({ env });
    const second = await startBroker({ env });
    for (const holder of ['ada', 'eve', 'joe']) {
      const lease = async () => (await first.allocate(holder)).json.sandbox_id;
      await until(async () => (await lease()) !== undefined, { timeoutMs: WITHIN_MS, what: 'a lease' });
      await first.mark(String(await lease()), holder);
    }
    const isDeleted = () => counted([first, second], 'deleted', 'accepted') >= STATUSES.length;
    await until(isDeleted, { timeoutMs: WITHIN_MS, what: 'their deletion' });
    await second.kill9();
    const third = await startBroker({ env });
    const untilMs = clock() + LISTED_FOR_MS;
    const told = new Set<number>();
    const isOver = async () => {
      for (const broker of [first, third]) told.add((await broker.allocate('bob')).status);
      return clock() >= untilMs;
    };
    await until(isOver, { timeoutMs: WITHIN_MS, what: 'the time for which it goes on being listed' });
    expect([...told]).toEqual([409]);
    expect(counted([first, second, third], 'gone', 'deleted')).toBe(2);

    csp.accounts.clear();
    // One tombstone for each delete that was confirmed; and each sandbox is seen gone once.
    const areGone = () => counted([first, second, third], 'gone', 'deleted') === 2 + STATUSES.length;
    await until(areGone, { timeoutMs: WITHIN_MS, what: 'listings that lack them' });
    csp.add(...accounts);
    const areBack = () => counted([first, third], 'revived') === STATUSES.length;
    await until(areBack, { timeoutMs: WITHIN_MS, what: 'new ones under the old ids' });
    expect((await third.allocate('bob')).status).toBe(201);
    expect([...csp.deletes.values()]).toEqual(STATUSES.map(() => ({ effective: 1, missed: 0 })));
  });
});
