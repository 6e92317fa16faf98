import { randomUUID } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { WindowAnomaly } from '../../../src/domain/resilience/retry-window.ts';
import { createRetry } from '../../../src/safety/retry/retry.ts';
import type { Spike } from '../../../src/safety/retry/spikes.ts';
import { createRetryStatistics } from '../../../src/safety/retry/statistics.ts';
import { createRetryWindowStore } from '../../../src/store/shared/retry-windows.ts';
import { openTable } from '../../../src/store/table.ts';
import { createCountingClient, createFakeClock, uniqueTable } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { failWith, injectFaults, loseAnswer, refused } from '../../support/store/injected-faults.ts';
import { readTable } from '../../support/store/table-audit.ts';

const never = () => new AbortController().signal;
const down = () => Object.assign(new Error('down'), { status: 503 });
const TASK = 'csp_delete:sbx-1';

describeOnEngines('the retry windows', ({ endpoint }) => {
  /** A table, and replicas with a retry each whose statistics are kept in it. */
  async function start() {
    const clock = createFakeClock();
    const table = uniqueTable();
    const replica = () => {
      const { client, calls } = createCountingClient(endpoint, table);
      onTestFinished(() => client.close());
      const anomalies: [WindowAnomaly, string][] = [];
      const rates: number[] = [];
      const spikes: Spike[] = [];
      const buckets: string[] = [];
      const statistics = createRetryStatistics({
        clock,
        store: createRetryWindowStore(client, randomUUID),
        rateWindowMs: 3_600_000,
        spikeWindowMs: 300_000,
        spikeCooldownMs: 900_000,
        onEnded: (bucket) => buckets.push(bucket),
        onWindowAnomaly: (anomaly, { task }) => anomalies.push([anomaly, task]),
        onRateAnomaly: ({ rate }) => rates.push(rate),
        onSpike: (spike) => spikes.push(spike),
      });
      const retry = createRetry({
        onAttempt: statistics.onAttempt,
        onEnd: statistics.onEnd,
        wait: async (ms) => clock.advanceSeconds(ms / 1000),
        random: () => 0.5,
      });
      /** Runs a task that fails so many times before it succeeds, if ever. */
      const run = (task: string, failures: number, resumable = true) =>
        retry
          .run(task, async (n) => (n <= failures ? Promise.reject(down()) : 'fine'), {
            signal: never(),
            resumable,
          })
          .catch(() => 'failed');
      const share = () => statistics.share(never());
      const report = (task = '') => statistics.report(task, never());
      return { client, calls, statistics, run, share, report, anomalies, rates, spikes, buckets };
    };
    const first = replica();
    await openTable(first.client, { buckets: 1, create: true }, AbortSignal.timeout(60_000));
    first.calls.clear();
    return { clock, first, second: replica() };
  }

  test('last from the first attempt to the final result, over runs and replicas', async () => {
    const { clock, first, second } = await start();
    const startMs = clock.nowMs();
    await first.run(TASK, Number.POSITIVE_INFINITY);
    await first.share();
    await second.share();
    clock.advanceSeconds(100);
    await second.run(TASK, 1);
    const window = { task: TASK, firstAttemptAtMs: startMs, attempts: 6, result: 'success' };
    // Four attempts with 1, 2 and 4 seconds in between, 100 seconds, and two with one.
    expect((await second.report()).ended).toMatchObject([{ ...window, endedAtMs: startMs + 108_000 }]);
    expect(second.buckets).toEqual(['6-10']);
    expect(first.buckets).toEqual([]);

    await second.share();
    await first.share();
    expect(await first.report()).toMatchObject({ open: [], ended: [window], shared: true });
  });

  test('of tasks that succeed at once cost the store no write', async () => {
    const { first } = await start();
    for (let i = 0; i < 20; i++) await first.run(`csp_delete:${i}`, 0);
    expect(first.calls.count()).toBe(0);
    await first.share();
    expect([first.calls.count('Query'), first.calls.count()]).toEqual([1, 1]);
    expect((await first.report()).attempts).toMatchObject({ '1': 20 });
  });

  test('of a failed run that nobody resumes end with it', async () => {
    const { first } = await start();
    await first.run('csp_list', Number.POSITIVE_INFINITY, false);
    await first.share();
    expect(await first.report()).toMatchObject({ open: [], ended: [{ attempts: 4, result: 'failed' }] });
  });

  test('of a task that is given up on end then', async () => {
    const { first, second } = await start();
    await first.run(TASK, Number.POSITIVE_INFINITY);
    await first.share();
    expect((await first.report()).open).toHaveLength(1);
    first.statistics.gaveUp(TASK);
    await first.share();
    expect((await second.report()).ended).toMatchObject([{ task: TASK, result: 'failed', attempts: 4 }]);
  });

  test('of one task twice are two', async () => {
    const { clock, first } = await start();
    for (let life = 0; life < 2; life++) {
      await first.run(TASK, 1);
      await first.share();
      clock.advanceSeconds(10);
    }
    expect((await first.report()).ended).toMatchObject([{ attempts: 2 }, { attempts: 2 }]);
  });

  test('lapse after a day, in the table and in the report', async () => {
    const { clock, first, second } = await start();
    await first.run(TASK, Number.POSITIVE_INFINITY);
    await first.run('csp_list', 1, false);
    await first.share();
    const items = await readTable(first.client);
    const rows = items.filter((item) => String(item.pk).startsWith('RETRY#'));
    expect(rows).toHaveLength(2);
    for (const { ttl } of rows) expect(Math.abs(ttl - clock.nowMs() / 1000 - 86_400)).toBeLessThan(10);
    clock.advanceSeconds(86_500);
    await first.share();
    await second.share();
    expect(await second.report()).toMatchObject({ open: [], ended: [] });
    expect((await first.report()).open).toEqual([]);
  });

  test('are counted once though an answer was lost', async () => {
    const { first, second } = await start();
    await first.run(TASK, Number.POSITIVE_INFINITY);
    const faults = injectFaults(first.client);
    faults.next('UpdateItem', loseAnswer);
    await first.share();
    await second.share();
    expect((await second.report()).open).toMatchObject([{ attempts: 4 }]);
    await first.run(TASK, 0);
    faults.next('TransactWriteItems', loseAnswer);
    await first.share();
    expect(faults.left).toBe(0);
    expect((await second.report()).ended).toMatchObject([{ attempts: 5 }]);
  });

  test('wait for the store, and lose nothing meanwhile', async () => {
    const { first, second } = await start();
    const faults = injectFaults(first.client);
    for (const operation of ['UpdateItem', 'TransactWriteItems', 'Query']) {
      const away = failWith(() => refused('InternalServerError', 500));
      faults.next(operation, away, { times: Number.POSITIVE_INFINITY });
    }
    await first.run(TASK, Number.POSITIVE_INFINITY);
    await first.run('csp_list', 2, false);
    await expect(first.share()).rejects.toThrow('store');
    expect(await first.report()).toMatchObject({
      open: [{ task: TASK, attempts: 4 }],
      ended: [{ task: 'csp_list', attempts: 3 }],
      shared: false,
    });
    faults.clear();
    await first.share();
    await second.share();
    expect(await second.report()).toMatchObject({
      open: [{ task: TASK, attempts: 4 }],
      ended: [{ task: 'csp_list', attempts: 3 }],
    });
  });

  describe('as anomalies', () => {
    test('more than ten attempts are told once, by the replica that made them', async () => {
      const { first, second } = await start();
      for (let i = 0; i < 3; i++) await first.run(TASK, Number.POSITIVE_INFINITY);
      expect(first.anomalies).toEqual([['attempts', TASK]]);
      await first.share();
      await second.share();
      await second.run(TASK, 0);
      expect(second.anomalies).toEqual([]);
    });

    test('attempts on several replicas add up', async () => {
      const { first, second } = await start();
      for (let i = 0; i < 2; i++) await first.run(TASK, Number.POSITIVE_INFINITY);
      await first.share();
      await second.share();
      await second.run(TASK, Number.POSITIVE_INFINITY);
      expect([first.anomalies, second.anomalies]).toEqual([[], [['attempts', TASK]]]);
    });

    test('a task that takes more than an hour is told even while nothing happens', async () => {
      const { clock, first } = await start();
      await first.run(TASK, Number.POSITIVE_INFINITY);
      await first.share();
      expect(first.anomalies).toEqual([]);
      clock.advanceSeconds(3_600);
      await first.share();
      await first.share();
      expect(first.anomalies).toEqual([['window', TASK]]);
    });

    test('a high rate is told once, with the eleventh job', async () => {
      const { first } = await start();
      for (let i = 0; i < 10; i++) await first.run(`csp_delete:${i}`, 1);
      expect(first.rates).toEqual([]);
      for (let i = 10; i < 20; i++) await first.run(`csp_delete:${i}`, 1);
      expect(first.rates).toEqual([1]);
    });
  });

  test('a burst of retries is a spike, store calls included', async () => {
    const { clock, first } = await start();
    clock.advanceSeconds(900);
    for (let i = 0; i < 3; i++) await first.run(`csp_delete:${i}`, 2);
    expect(first.spikes).toEqual([]);
    for (let i = 1; i <= 4; i++) first.statistics.storeRetried('Query', i, down(), 50);
    expect(first.spikes).toEqual([{ retries: 10, mean: 0 }]);
    expect((await first.report('store:')).tasks).toMatchObject([
      { task: 'store:Query', attempts: { length: 4 } },
    ]);
  });

  test('a run that is given up says nothing about its task', async () => {
    const { clock, first } = await start();
    const caller = new AbortController();
    const retry = createRetry({ onAttempt: first.statistics.onAttempt, onEnd: first.statistics.onEnd });
    const giveUp = async () => {
      caller.abort();
      throw down();
    };
    await expect(retry.run('csp_list', giveUp, { signal: caller.signal })).rejects.toThrow('down');
    clock.advanceSeconds(7_200);
    await first.share();
    expect(await first.report()).toMatchObject({ open: [], ended: [], rate: { jobs: 0 } });
    expect(first.anomalies).toEqual([]);
  });
});
