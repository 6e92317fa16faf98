import { expect, it } from 'vitest';
import { leaseTimes } from '../../src/domain/lease.ts';

const TERMS = { leaseSeconds: 4 * 3_600, bufferSeconds: 1_800 };

it.each([
  ['a lease ends after its hours, and the buffer after that', 1_000_000, TERMS, [1_000, 15_400, 17_200]],
  ['it begins with the second it was granted in', 1_000_999, TERMS, [1_000, 15_400, 17_200]],
  [
    'without a buffer it is reclaimed when it ends',
    1_000_000,
    { leaseSeconds: 1, bufferSeconds: 0 },
    [1_000, 1_001, 1_001],
  ],
])('%s', (_, nowMs, terms, [allocatedAt, expiresAt, reclaimAt]) => {
  expect(leaseTimes(nowMs, terms)).toEqual({ allocatedAt, expiresAt, reclaimAt });
});
