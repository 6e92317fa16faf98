import { describe, expect, onTestFinished, test } from 'vitest';
import {
  QUOTA_SCOPES,
  RESOURCES,
  type Resource,
  scopedQuotas,
} from '../../../src/domain/resilience/action.ts';
import type { Quota } from '../../../src/domain/resilience/quota.ts';
import {
  createGovernor,
  type Governor,
  type GovernorOptions,
  type QuotaAlert,
} from '../../../src/safety/quota/governor.ts';
import { createQuotasInMemory } from '../../../src/safety/quota/quotas-in-memory.ts';
import type { StoreClient } from '../../../src/store/dynamo/client.ts';
import { createQuotaStore } from '../../../src/store/shared/quotas.ts';
import { openTable } from '../../../src/store/table.ts';
import { createCountingClient, createFakeClock, uniqueTable } from '../../support/broker/core.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';

const NO_STORE = 'http://127.0.0.1:9';

/** The quotas of the issue. */
const QUOTAS: Record<Resource, Quota> = {
  api_call: { maxActions: 1000, windowSeconds: 60 },
  allocate: { maxActions: null, windowSeconds: 60 },
  csp_delete: { maxActions: 5000, windowSeconds: 3600 },
  bulk_delete: { maxActions: 10, windowSeconds: 3600 },
  data_export: { maxActions: 10, windowSeconds: 3600 },
};

const allowed = async (
  governor: Governor<Resource>,
  times: number,
  resource: Resource,
  key?: string,
): Promise<number> => {
  let count = 0;
  for (let n = 0; n < times; n++) if ((await governor.take(resource, key)).allowed) count++;
  return count;
};
const rowOf = (governor: Governor<Resource>, resource: Resource) =>
  governor.status().find((row) => row.resource === resource);

describe('a scope', () => {
  test('is global for what cannot be undone', () => {
    expect(RESOURCES.filter((resource) => QUOTA_SCOPES[resource] === 'global')).toEqual([
      'csp_delete',
      'bulk_delete',
      'data_export',
    ]);
  });
});

/** What every backing has to keep; without an endpoint the quotas are in memory. */
function governs(endpoint?: string): void {
  async function start(options: Partial<GovernorOptions<Resource>> = {}) {
    const table = uniqueTable();
    const clock = createFakeClock();
    const inMemory = createQuotasInMemory(clock);
    const storeOf = (client: StoreClient) =>
      endpoint === undefined ? inMemory : createQuotaStore(client, clock);
    const replica = (more: Partial<GovernorOptions<Resource>> = {}) => {
      const { client, calls } = createCountingClient(endpoint ?? NO_STORE, table);
      onTestFinished(() => client.close());
      const alerts: QuotaAlert[] = [];
      const denied: Resource[] = [];
      const governor = createGovernor({
        quotas: scopedQuotas(QUOTAS),
        store: storeOf(client),
        clock,
        alert: (alert) => alerts.push(alert),
        onDenied: (resource) => denied.push(resource),
        ...options,
        ...more,
      });
      const store = storeOf(client);
      return { client, store, calls, clock, governor, alerts, denied };
    };
    const first = replica();
    if (endpoint !== undefined) {
      await openTable(first.client, { buckets: 4, create: true }, AbortSignal.timeout(60_000));
    }
    first.calls.clear();
    return { ...first, replica };
  }

  test('rations calls per caller, without asking the store', async () => {
    const { governor, calls } = await start();
    expect(await allowed(governor, 1_005, 'api_call', 'holder-1')).toBe(1_000);
    expect(await allowed(governor, 1, 'api_call', 'holder-2')).toBe(1);
    expect(rowOf(governor, 'api_call')).toMatchObject({ currentActions: 1_000, deniedCount: 5 });
    expect(calls.count()).toBe(0);
  });

  test('lets a thousand callers start at once, and a thousand finished sandboxes be deleted in one go', async () => {
    const { governor } = await start();
    for (let n = 0; n < 1_000; n++) {
      expect((await governor.take('api_call', `holder-${n}`)).allowed).toBe(true);
      expect((await governor.take('allocate')).allowed).toBe(true);
    }
    // Each is a call to the store: the rest of the thousand would be the same ones.
    expect(await allowed(governor, 50, 'csp_delete')).toBe(50);
    const { currentActions, maxActions } = rowOf(governor, 'csp_delete') ?? {};
    expect([currentActions, (maxActions ?? Infinity) >= 1_000]).toEqual([50, true]);
  });

  test('says when to come back, and lets in then', async () => {
    const { governor, clock } = await start();
    await allowed(governor, 1_000, 'api_call', 'a');
    const verdict = await governor.take('api_call', 'a');
    if (verdict.allowed) throw new Error('it was let through');
    expect(verdict.retryAfterSeconds).toBeGreaterThan(55);
    expect(verdict.retryAfterSeconds).toBeLessThanOrEqual(62);
    clock.advanceSeconds(verdict.retryAfterSeconds);
    expect((await governor.take('api_call', 'a')).allowed).toBe(true);
  });

  test('gives the replicas one ration together of what cannot be undone, and each its own of the rest', async () => {
    const one = await start();
    const two = one.replica();
    expect(await allowed(one.governor, 6, 'bulk_delete')).toBe(6);
    expect(await allowed(two.governor, 6, 'bulk_delete')).toBe(4);
    expect(await allowed(one.governor, 1, 'bulk_delete')).toBe(0);
    expect(await allowed(one.governor, 1_001, 'api_call', 'a')).toBe(1_000);
    expect(await allowed(two.governor, 1_001, 'api_call', 'a')).toBe(1_000);
  });

  test('counts what has no limit, so that a limit set later knows of it', async () => {
    const { governor } = await start();
    expect(await allowed(governor, 50, 'allocate')).toBe(50);
    await governor.setLimit('allocate', 51);
    expect(await allowed(governor, 5, 'allocate')).toBe(1);
    await governor.setLimit('allocate', null);
    expect(await allowed(governor, 5, 'allocate')).toBe(5);
  });

  test('a limit that is changed at run time holds on every replica, with the history kept', async () => {
    const one = await start();
    const two = one.replica();
    await allowed(one.governor, 3, 'api_call', 'a');
    await allowed(two.governor, 3, 'api_call', 'a');
    await allowed(one.governor, 6, 'bulk_delete');
    await one.governor.setLimit('api_call', 4);
    await one.governor.setLimit('bulk_delete', 7, 7_200);
    await two.governor.refresh();
    for (const { governor } of [one, two]) {
      expect(await allowed(governor, 5, 'api_call', 'a')).toBe(1);
      expect(rowOf(governor, 'bulk_delete')).toMatchObject({
        currentActions: 6,
        maxActions: 7,
        windowSeconds: 7_200,
        overridden: true,
      });
    }
    expect(await allowed(two.governor, 5, 'bulk_delete')).toBe(1);
    await two.governor.resetLimit('api_call');
    await one.governor.refresh();
    expect(rowOf(one.governor, 'api_call')).toMatchObject({ maxActions: 1_000, overridden: false });
    expect(rowOf(two.governor, 'api_call')).toMatchObject({ maxActions: 1_000, overridden: false });
  });

  test('a limit outlives the process that set it', async () => {
    const one = await start();
    await one.governor.setLimit('csp_delete', 0);
    const later = one.replica();
    await later.governor.refresh();
    expect((await later.governor.take('csp_delete')).allowed).toBe(false);
  });

  test('another window of a local quota keeps what is young enough', async () => {
    const { governor, clock } = await start();
    await allowed(governor, 10, 'api_call', 'a');
    clock.advanceSeconds(30);
    await allowed(governor, 10, 'api_call', 'a');
    await governor.setLimit('api_call', 100, 600);
    expect(rowOf(governor, 'api_call')?.currentActions).toBe(20);
    await governor.setLimit('api_call', 100, 10);
    clock.advanceSeconds(8);
    expect(rowOf(governor, 'api_call')?.currentActions).toBeGreaterThanOrEqual(10);
    clock.advanceSeconds(30);
    expect(rowOf(governor, 'api_call')?.currentActions).toBe(0);
  });

  test('alerts at the first refusal, not at each of a flood, and again while it goes on', async () => {
    const { governor, alerts, denied, clock } = await start();
    await governor.setLimit('allocate', 2, 3_600);
    await allowed(governor, 500, 'allocate');
    expect(denied.length).toBe(498);
    expect(alerts).toEqual([
      {
        task: 'governor',
        reason: 'quota_exceeded_allocate',
        severity: 'warning',
        context: expect.objectContaining({ resource: 'allocate', max_actions: 2, window_seconds: 3_600 }),
      },
    ]);
    clock.advanceSeconds(300);
    await allowed(governor, 10, 'allocate');
    expect(alerts.at(1)?.context).toMatchObject({ denied_since_last_alert: 498 });
    await allowed(governor, 11, 'bulk_delete');
    expect(alerts.map(({ reason }) => reason).at(-1)).toBe('quota_exceeded_bulk_delete');
  });

  test('names the caller that is refused', async () => {
    const { governor, alerts } = await start();
    await governor.setLimit('api_call', 0);
    await governor.take('api_call', 'holder-7');
    expect(alerts[0]?.context).toMatchObject({ caller: 'holder-7' });
  });

  test('fails closed for what cannot be undone, and open for the rest, when the store is away', async () => {
    const clock = createFakeClock();
    const { client } = createCountingClient(NO_STORE, 'nowhere', { totalTimeoutMs: 300 });
    onTestFinished(() => client.close());
    const { governor } = await start({ store: createQuotaStore(client, clock), clock });
    for (const resource of RESOURCES) {
      const taken = governor.take(resource, 'a');
      if (QUOTA_SCOPES[resource] === 'global') {
        await expect(taken).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      } else {
        expect(await taken).toEqual({ allowed: true });
      }
    }
    await expect(governor.refresh()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await governor.take('api_call', 'a'), 'as before').toEqual({ allowed: true });
    expect(governor.status().every(({ deniedCount }) => deniedCount === 0)).toBe(true);
  });

  test('a look at a quota uses nothing up, and asks no store', async () => {
    const { governor, calls } = await start();
    await allowed(governor, 10, 'bulk_delete');
    calls.clear();
    for (let n = 0; n < 20; n++) expect(governor.check('bulk_delete').allowed).toBe(false);
    for (let n = 0; n < 20; n++) expect(governor.check('csp_delete').allowed).toBe(true);
    expect(calls.count()).toBe(0);
    expect(rowOf(governor, 'csp_delete')?.currentActions).toBe(0);
  });

  test('remembers a bounded number of callers, those who called last', async () => {
    const { governor } = await start({ maxKeys: 100 });
    await governor.setLimit('api_call', 2);
    for (let n = 0; n < 5_000; n++) {
      await governor.take('api_call', `once-${n}`);
      await governor.take('api_call', 'always');
    }
    expect((await governor.take('api_call', 'always')).allowed).toBe(false);
  });

  test('a limit that is set while a refresh is under way stays set', async () => {
    const { governor, store } = await start();
    await governor.setLimit('api_call', 5);
    const read = Promise.withResolvers<void>();
    const slow = createGovernor({
      quotas: scopedQuotas(QUOTAS),
      store: {
        ...store,
        async read(signal) {
          const records = await store.read(signal);
          await read.promise;
          return records;
        },
      },
      clock: createFakeClock(),
      alert: () => undefined,
    });
    const refreshing = slow.refresh();
    await slow.setLimit('api_call', 6);
    read.resolve();
    await refreshing;
    expect(rowOf(slow, 'api_call')?.maxActions).toBe(6);
  });

  test('refuses limits that cannot be meant, and resources that do not exist', async () => {
    const { governor } = await start();
    await expect(governor.setLimit('api_call', -1)).rejects.toThrow(RangeError);
    await expect(governor.setLimit('api_call', 1.5)).rejects.toThrow(RangeError);
    await expect(governor.setLimit('api_call', 1, 0)).rejects.toThrow(RangeError);
    await expect(governor.setLimit('api_call', 1, 1e9)).rejects.toThrow(RangeError);
    // @ts-expect-error It is not one of the resources.
    await expect(governor.take('apicall')).rejects.toThrow(RangeError);
    // @ts-expect-error It is not one of the resources.
    await expect(governor.take('toString')).rejects.toThrow(RangeError);
    const quotas = { ...QUOTAS, data_export: { maxActions: Number.NaN, windowSeconds: 1 } };
    await expect(start({ quotas })).rejects.toThrow(RangeError);
  });
}

describeOnFastEngine('the governor', ({ endpoint }) => governs(endpoint));
describe('the governor in memory', () => governs());

test('a governor needs no more than its quotas, and remembers what it refused', async () => {
  const governor = createGovernor({ quotas: { mail: { maxActions: 1, windowSeconds: 60 } } });
  expect(await governor.take('mail')).toEqual({ allowed: true });
  expect(governor.check('mail').allowed).toBe(false);
  expect(governor.violations('mail')).toMatchObject([
    { resource: 'mail', retryAfterSeconds: expect.any(Number) },
  ]);
  await governor.setLimit('mail', 2);
  expect(governor.status()).toMatchObject([
    { resource: 'mail', currentActions: 1, maxActions: 2, deniedCount: 1 },
  ]);
});
