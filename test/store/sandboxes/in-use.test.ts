import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/domain/sandbox.ts';
import { create } from '../../../src/domain/transitions.ts';
import { toSandboxItem } from '../../../src/store/sandboxes/items.ts';
import { statusSortKey } from '../../../src/store/sandboxes/keys.ts';
import type { Page, Place } from '../../../src/store/sandboxes/reads.ts';
import { context, startCore, type TestCore } from '../../support/broker/core.ts';
import { RECORDS } from '../../support/broker/records.ts';
import { describeOnEngines } from '../../support/store/engines.ts';

const BUCKETS = 2;
/** More than a look at one bucket's ends takes in. */
const MANY = 520;

const numbered = (status: 'allocated' | 'pending_deletion', number: number): Sandbox => ({
  ...RECORDS[status],
  id: `${status}-${String(number).padStart(4, '0')}`,
  name: `lab-${number % 2}`,
});

/** As a replica of an earlier version writes it: with an entry by its status, whatever that is. */
async function putAsEarlier(core: TestCore, sandbox: Sandbox): Promise<void> {
  const item = toSandboxItem(sandbox, BUCKETS, 'earlier');
  await core.client.put({ Item: { ...item, status_key: statusSortKey(sandbox.status, sandbox.name) } });
}

const idsOf = (sandboxes: readonly Sandbox[]): string[] => sandboxes.map(({ id }) => id);

describeOnEngines('what is in use', ({ name: engine, endpoint }) => {
  const leased = Array.from({ length: engine === 'dynoxide' ? 2 * MANY : 40 }, (_, number) =>
    numbered('allocated', number),
  );
  const pending = Array.from({ length: 7 }, (_, number) => numbered('pending_deletion', number));
  let core: TestCore;
  beforeAll(async () => {
    core = await startCore(endpoint, { buckets: BUCKETS });
    const fresh = [...leased.slice(1), ...pending.slice(1)];
    await core.store.writeAll(fresh.map((next) => ({ seen: undefined, next })));
    await putAsEarlier(core, leased[0] as Sandbox);
    await putAsEarlier(core, pending[0] as Sandbox);
    const next = create('free', { name: 'free', externalId: 'free', metadata: {} }, core.clock.nowMs());
    await core.store.write({ seen: undefined, next });
  });
  afterAll(() => core.close());

  const list = async (status: Sandbox['status'], more: { limit?: number; prefix?: string } = {}) => {
    const found: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await core.useCases.listSandboxes({ status, limit: 100, ...more, cursor }, context());
      found.push(...idsOf(page.sandboxes));
      cursor = page.cursor;
    } while (cursor !== undefined);
    return found;
  };

  test('is listed once each, with what an earlier version wrote, however many there are', async () => {
    expect((await list('allocated')).sort()).toEqual(idsOf(leased));
    expect((await list('pending_deletion', { limit: 2 })).sort()).toEqual(idsOf(pending));
    const odd = leased.filter(({ name }) => name === 'lab-1');
    expect((await list('allocated', { prefix: 'lab-1' })).sort()).toEqual(idsOf(odd));
    expect(await list('pending_deletion', { prefix: 'nothing' })).toEqual([]);
  });

  test('is counted once each, with what an earlier version wrote', async () => {
    const counts = await core.work.count(AbortSignal.timeout(10_000), { consistent: true });
    expect(counts.counts).toMatchObject({
      available: 1,
      allocated: leased.length,
      pending_deletion: pending.length,
    });
  });

  test('comes once each while its ends change between the pages', async () => {
    const found: string[] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      let place: Place | undefined = { bucket };
      while (place) {
        const page: Page = await core.reads.inUse({ status: 'pending_deletion', ...place });
        const [first, second] = page.sandboxes;
        if (!first) break;
        found.push(first.id);
        // Later than all others, and earlier.
        for (const [each, dueMs] of [
          [first, 9e12],
          [second, 1],
        ] as const) {
          if (each?.status !== 'pending_deletion') continue;
          const next = { ...each, generation: each.generation + 1, cleanup: { ...each.cleanup, dueMs } };
          expect(await core.store.write({ seen: each, next })).toBe(true);
        }
        place = { bucket, after: core.reads.placeOf(first, undefined) };
      }
    }
    expect(found.sort()).toEqual(idsOf(pending));
  });
});
