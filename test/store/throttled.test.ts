import { expect, test } from 'vitest';
import { bucketOf, bucketPk } from '../../src/store/sandboxes/keys.ts';
import { CLOUD_LATENCY } from '../support/dynamo-proxy.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { auditLeases } from '../support/store/table-audit.ts';
import { askTogether, startThrottled } from './throttled-steps.ts';

/** What a lease takes: of the whole table, and of its sandbox's bucket. */
const LEASE_UNITS = 8;
const BUCKET_UNITS = 4;

describeOnFastEngine('a store with less room than there are callers', ({ endpoint }) => {
  const leased = (endings: { code: string }[]) => endings.filter(({ code }) => code === 'leased').length;
  const ofBuckets = (units: number) => (pk: string) => (pk.startsWith('B#') ? units : undefined);

  test.for([
    ['the table', { table: 20 * LEASE_UNITS }],
    ['each bucket', { partition: ofBuckets(10 * BUCKET_UNITS) }],
  ] as const)('serves all of them in the end, where it is %s that is short', async ([, throughput]) => {
    const { core, proxy } = await startThrottled(endpoint, { poolSize: 120, buckets: 2 });
    proxy.setLatency(CLOUD_LATENCY);
    proxy.limitThroughput(throughput);
    const endings = await askTogether(core, 80);
    expect(leased(endings)).toBe(80);
    expect(proxy.counts.throttled).toBeGreaterThan(0);
    // Fewer than a transaction for each of them, the refused ones included.
    expect(proxy.counts.transactions).toBeLessThan(80);
    expect(await auditLeases(core.client)).toHaveLength(80);
  });

  test('refuses late, never early: those for whom there was no room until their deadline', async () => {
    const deadlineMs = 1_500;
    const { core, proxy } = await startThrottled(endpoint, { poolSize: 60, allocateDeadlineMs: deadlineMs });
    proxy.limitThroughput({ table: 2 * LEASE_UNITS });
    const endings = await askTogether(core, 40);
    const refused = endings.filter(({ code }) => code !== 'leased');
    expect(refused.length).toBeGreaterThan(0);
    expect(leased(endings)).toBeGreaterThan(0);
    for (const { code, afterMs } of refused) {
      expect(code).toBe('STORE_UNAVAILABLE');
      expect(afterMs).toBeGreaterThanOrEqual(deadlineMs - 1);
    }
  });

  test('gives a sandbox from another bucket at once to each whose bucket takes nothing', async () => {
    const { core, proxy } = await startThrottled(endpoint, { poolSize: 120, buckets: 4 });
    const full = bucketPk(0);
    proxy.limitThroughput({ partition: (pk) => (pk === full ? BUCKET_UNITS / 2 : undefined) });
    for (let caller = 0; caller < 40; caller++) {
      const before = { ...proxy.counts };
      const [ending] = await askTogether(core, 1, `h-${caller}`);
      expect(bucketPk(bucketOf(ending?.sandboxId ?? '', 4))).not.toBe(full);
      // Refused once at the most, and then no more.
      expect(proxy.counts.transactions - before.transactions).toBeLessThanOrEqual(2);
    }
    expect(leased(await askTogether(core, 40, 'crowd'))).toBe(40);
  });

  test('still has the sandboxes of that bucket for who finds no other', async () => {
    const { core, proxy } = await startThrottled(endpoint, { poolSize: 40, buckets: 4 });
    const scarce = bucketPk(0);
    proxy.limitThroughput({ partition: (pk) => (pk === scarce ? 3 * BUCKET_UNITS : undefined) });
    expect(leased(await askTogether(core, 40))).toBe(40);
  });
});
