import { describe, expect, onTestFinished, test } from 'vitest';
import type { AlertStore } from '../../../src/domain/resilience/alert.ts';
import { ALERT_SEVERITIES, type RaisedAlert } from '../../../src/domain/resilience/alert.ts';
import type { StoreClient } from '../../../src/store/dynamo/client.ts';
import { alertsOfDayPk } from '../../../src/store/sandboxes/keys.ts';
import { createAlertStore } from '../../../src/store/shared/alerts.ts';
import { openTable } from '../../../src/store/table.ts';
import { raised } from '../../support/broker/alerts.ts';
import { createCountingClient, uniqueTable } from '../../support/broker/core.ts';
import { describeOnEngines } from '../../support/store/engines.ts';
import { duplicate, injectFaults, loseAnswer } from '../../support/store/injected-faults.ts';

const NOW_MS = Date.UTC(2030, 5, 15, 9);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describeOnEngines('the stored alerts', ({ endpoint }) => {
  async function start() {
    const { client, calls } = createCountingClient(endpoint, uniqueTable());
    onTestFinished(async () => client.close());
    await openTable(client, { buckets: 16, create: true }, AbortSignal.timeout(60_000));
    const unreadable: unknown[] = [];
    const store = createAlertStore(client, (sortKey) => unreadable.push(sortKey));
    calls.clear();
    return { client, calls, store, unreadable };
  }

  const write = async (store: AlertStore, alerts: RaisedAlert[]) => {
    // In waves: the slower engine would run into the client's time limit.
    for (let start = 0; start < alerts.length; start += 25) {
      await Promise.all(alerts.slice(start, start + 25).map((alert) => store.write(alert)));
    }
    return alerts;
  };
  const ids = async (store: AlertStore, query: Partial<Parameters<AlertStore['list']>[0]> = {}) =>
    (await store.list({ limit: 100, nowMs: NOW_MS, ...query })).alerts.map(({ id }) => id);
  const at = (agoMs: number, more: Partial<RaisedAlert> = {}) => raised({ atMs: NOW_MS - agoMs, ...more });

  test('are what every replica wrote, as it was, the newest first', async () => {
    const { store } = await start();
    const context = { missing: 3, nested: { list: [1, 'two', null, 1e300], '': '' }, text: 'ä€😀' };
    const alerts = await write(store, [
      at(2 * DAY_MS),
      at(1_000, { replica: 'replica-2', context }),
      at(2_000),
      at(5 * DAY_MS + HOUR_MS),
    ]);
    const listed = await store.list({ limit: 10, nowMs: NOW_MS });
    expect(listed).toEqual({ alerts: alerts.sort((a, b) => b.atMs - a.atMs), complete: true });
  });

  test('are there for seven days, also when TTL is late', async () => {
    const { store, client } = await start();
    const [young, old] = await write(store, [at(7 * DAY_MS - 1_000), at(7 * DAY_MS + 1_000)]);
    expect(await ids(store)).toEqual([young?.id]);
    const { items } = await client.query({
      KeyConditionExpression: 'pk = :pk',
      ExpressionAttributeValues: { ':pk': alertsOfDayPk(old?.atMs ?? 0) },
    });
    for (const item of items) {
      expect(item.ttl).toBe(Math.ceil((Number(item.at_ms) + 7 * DAY_MS) / 1000));
    }
  });

  test('are found at the turn of a day, those of a clock that is ahead included', async () => {
    const { store } = await start();
    const midnightMs = Date.UTC(2030, 5, 15);
    const [before, after] = await write(store, [
      raised({ atMs: midnightMs - 1 }),
      raised({ atMs: midnightMs + 60_000 }),
    ]);
    expect(await ids(store, { nowMs: midnightMs - 1_000 })).toEqual([after?.id, before?.id]);
    expect(await ids(store, { nowMs: midnightMs + 7 * DAY_MS - 2 })).toEqual([after?.id, before?.id]);
  });

  test('can be asked for a severity, a severity and above, and a task', async () => {
    const { store } = await start();
    const alerts = ALERT_SEVERITIES.flatMap((severity, index) =>
      ['sync', 'cleanup'].map((task, n) =>
        at((index * 2 + n) * HOUR_MS * 11, { severity, task, id: `${severity}-${task}` }),
      ),
    );
    await write(store, alerts);
    expect(await ids(store)).toHaveLength(8);
    expect(await ids(store, { severity: 'error' })).toEqual(['error-sync', 'error-cleanup']);
    expect(await ids(store, { minSeverity: 'error', task: 'sync' })).toEqual(['error-sync', 'critical-sync']);
    expect(await ids(store, { task: 'cleanup', limit: 2 })).toEqual(['info-cleanup', 'warning-cleanup']);
    expect(await ids(store, { severity: 'info', minSeverity: 'error' })).toEqual([]);
  });

  test('of one severity are found behind pages of others, without reading these', async () => {
    const { store, calls } = await start();
    await write(
      store,
      Array.from({ length: 300 }, (_, n) => at(n, { severity: 'info' })),
    );
    await write(store, [at(HOUR_MS, { id: 'the-one', severity: 'critical' })]);
    calls.clear();
    expect(await ids(store, { minSeverity: 'critical', limit: 1 })).toEqual(['the-one']);
    expect(calls.count('Query')).toBe(1);
    expect(await ids(store, { limit: 301 })).toHaveLength(301);
  });

  test('are read no further than asked for', async () => {
    const { store, calls } = await start();
    await write(store, [at(0), at(1), at(DAY_MS)]);
    calls.clear();
    expect(await ids(store, { limit: 2 })).toHaveLength(2);
    expect(calls.count()).toBe(1);
    calls.clear();
    expect(await ids(store, { minSeverity: 'warning' })).toHaveLength(3);
    expect(calls.count()).toBe(8 * 3);
  });

  test('are written once, whatever becomes of the answer', async () => {
    const { store, client } = await start();
    const faults = injectFaults(client);
    faults.next('PutItem', loseAnswer);
    faults.next('PutItem', duplicate);
    const alerts = [at(1), at(2)];
    for (const alert of alerts) await store.write(alert);
    expect(await ids(store)).toEqual(alerts.map(({ id }) => id));
  });

  test('that somebody has bent are left out and named', async () => {
    const { store, client, unreadable } = await start();
    const [good] = await write(store, [at(1)]);
    const bend = (client: StoreClient, sk: string, fields: object) =>
      client.put({ Item: { pk: alertsOfDayPk(NOW_MS), sk, ...fields } });
    await bend(client, '9-no-fields', {});
    await bend(client, '8-no-json', {
      id: 'x',
      at_ms: NOW_MS,
      task: 't',
      reason: 'r',
      severity: 'info',
      replica: 'r',
      context_json: '{',
    });
    expect(await ids(store)).toEqual([good?.id]);
    expect(unreadable).toEqual(['9-no-fields', '8-no-json']);
  });
});

describe('a partition of alerts', () => {
  test('is one day in UTC', () => {
    expect(alertsOfDayPk(Date.UTC(2030, 0, 1) - 1)).toBe('ALERTS#2029-12-31');
    expect(alertsOfDayPk(Date.UTC(2030, 0, 1))).toBe('ALERTS#2030-01-01');
  });
});
