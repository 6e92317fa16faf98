import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import type { RecordOutcome } from '../../src/domain/resilience/alert.ts';
import { createAlerts } from '../../src/safety/alerts/alerts.ts';
import { type AlertRecorder, createAlertRecorder } from '../../src/safety/alerts/recorder.ts';
import { redaction } from '../../src/safety/redacted.ts';
import { createAlertStore } from '../../src/store/shared/alerts.ts';
import { openTable } from '../../src/store/table.ts';
import { listAlerts } from '../../src/usecases/list-alerts.ts';
import { alertOf, raised } from '../support/broker/alerts.ts';
import {
  context,
  createCountingClient,
  createFakeClock,
  type FakeClock,
  uniqueTable,
} from '../support/broker/core.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { failWith, holdCalls, injectFaults, refused } from '../support/store/injected-faults.ts';
import { until } from '../support/until.ts';

/** A replica's alerts, from being raised to being listed. */
function replicaOn(endpoint: string, table: string, clock: FakeClock, storeWithinMs?: number) {
  const { client } = createCountingClient(endpoint, table, { totalTimeoutMs: 20_000 });
  onTestFinished(async () => client.close());
  const store = createAlertStore(client, () => undefined);
  const outcomes: RecordOutcome[] = [];
  const storeErrors: unknown[] = [];
  const alerts = createAlerts({
    clock,
    newId: randomUUID,
    replicaId: randomUUID(),
    redact: redaction(),
    correlation: () => undefined,
    onListenerError: (error) => {
      throw error;
    },
  });
  const recorder: AlertRecorder = createAlertRecorder({
    store,
    clock,
    storeRestMs: 20,
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  alerts.subscribe('*', recorder.record);
  const list = listAlerts({
    recent: alerts.recent,
    stored: store,
    clock,
    onStoreError: (error) => storeErrors.push(error),
    ...(storeWithinMs !== undefined && { storeWithinMs }),
  });
  const count = (outcome: RecordOutcome) => outcomes.filter((each) => each === outcome).length;
  return {
    client,
    faults: injectFaults(client),
    recorder,
    storeErrors,
    count,
    raise(reason: string, more = {}) {
      clock.advanceSeconds(1);
      alerts.raise(alertOf({ reason, ...more }));
    },
    counted: (outcome: RecordOutcome, times: number) =>
      until(() => count(outcome) === times, { what: `${times} times ${outcome}` }),
    list: (query: Partial<Parameters<typeof list>[0]> = {}) =>
      list({ limit: 100, ...query }, context('admin')),
    async reasons(query: Partial<Parameters<typeof list>[0]> = {}) {
      return (await list({ limit: 100, ...query }, context('admin'))).alerts.map(({ reason }) => reason);
    },
  };
}

describeOnFastEngine('the alerts of all replicas', ({ endpoint }) => {
  async function start(storeWithinMs?: number) {
    const table = uniqueTable();
    const clock = createFakeClock();
    const one = replicaOn(endpoint, table, clock, storeWithinMs);
    await openTable(one.client, { buckets: 16, create: true }, AbortSignal.timeout(60_000));
    return {
      one,
      two: replicaOn(endpoint, table, clock),
      clock,
      restarted: () => replicaOn(endpoint, table, clock),
    };
  }

  test('are listed by each of them, once and the newest first, also after a restart', async () => {
    const { one, two, restarted } = await start();
    one.raise('first');
    two.raise('second');
    one.raise('third');
    await Promise.all([one.counted('stored', 2), two.counted('stored', 1)]);
    for (const replica of [one, two, restarted()]) {
      expect(await replica.reasons()).toEqual(['third', 'second', 'first']);
      expect(await replica.reasons({ limit: 2 })).toEqual(['third', 'second']);
    }
  });

  test('are listed with what this replica has not stored yet', async () => {
    const { one, two } = await start();
    two.raise('stored');
    await two.counted('stored', 1);
    const held = holdCalls();
    one.faults.next('PutItem', held.fault);
    one.raise('fresh', { severity: 'warning' });
    expect(await one.reasons()).toEqual(['fresh', 'stored']);
    expect(await one.reasons({ minSeverity: 'error' })).toEqual(['stored']);
    expect(await two.reasons()).toEqual(['stored']);
    held.release();
    await one.counted('stored', 1);
    expect(await two.reasons()).toEqual(['fresh', 'stored']);
  });

  test('are not asked for when none are wanted', async () => {
    const { one } = await start();
    one.raise('any');
    await one.counted('stored', 1);
    const before = one.faults.calls.length;
    expect(await one.list({ limit: 0 })).toEqual({ alerts: [], complete: true, stored: true });
    expect(one.faults.calls.length).toBe(before);
  });

  test("are this replica's own while the store does not answer, and the answer says so", async () => {
    const { one, two, restarted } = await start(100);
    two.raise('elsewhere');
    await two.counted('stored', 1);
    one.raise('here');
    await one.counted('stored', 1);
    const held = holdCalls();
    one.faults.next('Query', held.fault, { times: 100 });
    const listed = await one.list();
    expect(listed).toMatchObject({ alerts: [{ reason: 'here' }], complete: false, stored: false });
    expect(one.storeErrors).toHaveLength(1);
    held.release();
    expect(await restarted().reasons()).toEqual(['here', 'elsewhere']);
  });

  test('wait for a store that is away, and hold up nobody who raises one', async () => {
    const { one, two } = await start();
    one.faults.next(
      'PutItem',
      failWith(() => refused('InternalServerError', 500)),
      { times: 4 },
    );
    one.raise('during the outage');
    one.raise('right after');
    expect(one.count('stored')).toBe(0);
    await one.counted('stored', 2);
    expect(await two.reasons()).toEqual(['right after', 'during the outage']);
  });

  test('that the store refuses do not stand in the way of the others', async () => {
    const { one, two } = await start();
    one.faults.next(
      'PutItem',
      failWith(() => refused('AccessDeniedException')),
    );
    one.raise('refused');
    one.raise('taken');
    await one.counted('stored', 1);
    expect(one.count('failed')).toBe(1);
    expect(await two.reasons()).toEqual(['taken']);
    expect(await one.reasons()).toEqual(['taken', 'refused']);
  });

  test('are written before the broker ends, or counted as dropped when the store hangs', async () => {
    const { one, two } = await start();
    for (const reason of ['a', 'b', 'c']) one.raise(reason);
    await one.recorder.close(10_000);
    expect(await two.reasons()).toEqual(['c', 'b', 'a']);
    const held = holdCalls();
    two.faults.next('PutItem', held.fault, { times: 10 });
    for (const reason of ['d', 'e']) two.raise(reason);
    await two.recorder.close(50);
    expect(two.count('dropped')).toBe(2);
    held.release();
  });
});

describeOnFastEngine('a storm of alerts', ({ endpoint }) => {
  test('writes so many in a minute at most; the rest is counted', async () => {
    const table = uniqueTable();
    const clock = createFakeClock();
    const { client, calls } = createCountingClient(endpoint, table);
    onTestFinished(async () => client.close());
    await openTable(client, { buckets: 16, create: true }, AbortSignal.timeout(60_000));
    const outcomes: RecordOutcome[] = [];
    const recorder = createAlertRecorder({
      store: createAlertStore(client, () => undefined),
      clock,
      maxPerMinute: 50,
      onOutcome: (outcome) => outcomes.push(outcome),
    });
    calls.clear();
    for (let n = 0; n < 60; n++) recorder.record(raised());
    await until(() => outcomes.length === 60, { what: 'every outcome' });
    expect(calls.count('PutItem')).toBe(50);
    clock.advanceSeconds(60);
    recorder.record(raised());
    await until(() => outcomes.length === 61, { what: 'one more' });
    expect([outcomes.at(-1), outcomes.filter((each) => each === 'dropped').length]).toEqual(['stored', 10]);
  });
});
