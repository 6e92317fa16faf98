import { expect, test } from 'vitest';
import { type PoolCounts, toPoolCounts } from '../../../src/domain/pool-counts.ts';
import { POOL_STATUSES, type PoolStatus } from '../../../src/domain/sandbox.ts';
import { countPool, countUnits } from '../../../src/usecases/inventory/count-pool.ts';

const EMPTY = Object.fromEntries(POOL_STATUSES.map((status) => [status, 0])) as PoolCounts['counts'];
const poolOf = (counts: Partial<PoolCounts['counts']>): PoolCounts =>
  toPoolCounts({ ...EMPTY, ...counts }, 1_000);

/** A count of a pool that is like `real`, where `known` is known of it; and the statuses that were read. */
async function count(real: PoolCounts, known: PoolCounts) {
  let asked: PoolStatus[] = [];
  const reads = {
    async count<Status extends PoolStatus>(statuses: readonly Status[]) {
      asked = [...statuses];
      return Object.fromEntries(statuses.map((status) => [status, real.counts[status]])) as Record<
        Status,
        number
      >;
    },
  };
  const signal = new AbortController().signal;
  const counted = await countPool(
    { reads, clock: { nowMs: () => 2_000 } },
    { consistent: false, known },
    signal,
  );
  return { counted, asked };
}

test('a small pool is counted as a whole', async () => {
  const real = poolOf({ available: 4_000, allocated: 900 });
  const { counted, asked } = await count(real, poolOf({ available: 4_100, allocated: 700 }));
  expect(asked).toEqual(POOL_STATUSES);
  expect(counted).toEqual({ ...real, asOfMs: 2_000 });
});

test.each([
  ['free', poolOf({ available: 90_000, allocated: 7, stale: 3 }), ['available'], 1],
  [
    'in use',
    poolOf({ available: 40, allocated: 90_000, pending_deletion: 20 }),
    ['allocated', 'pending_deletion'],
    4,
  ],
  ['not to be deleted', poolOf({ available: 40, deletion_failed: 9_000 }), ['deletion_failed'], 4],
] as const)('of a large pool that is mostly %s the rest is counted', async (_what, real, left, units) => {
  const known = poolOf({
    ...real.counts,
    available: real.counts.available + 5,
    allocated: real.counts.allocated + 5,
    stale: 0,
  });
  const shifted = { ...known, total: real.total };
  const { counted, asked } = await count(real, shifted);
  expect(asked).toEqual(POOL_STATUSES.filter((status) => !(left as readonly string[]).includes(status)));
  expect(counted.counts).toEqual(real.counts);
  expect(countUnits(real)).toBe(units);
});

test('a large pool is counted as a whole where what is known of it cannot be', async () => {
  const real = poolOf({ available: 9_000, allocated: 6_000 });
  const { counted, asked } = await count(real, poolOf({ available: 5_500, allocated: 10 }));
  expect(asked).toEqual(POOL_STATUSES);
  expect(counted.counts).toEqual(real.counts);
});
