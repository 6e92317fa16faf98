import { describe, expect, it } from 'vitest';
import {
  CLOCK_SKEW_ALLOWANCE_MS,
  dedupe,
  type InventoryItem,
  isExpected,
  judge,
  type Verdict,
} from '../../src/domain/inventory.ts';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import { purge } from '../../src/domain/transitions.ts';
import { MADE_AT_MS, RECORDS } from '../support/records.ts';

const { available, allocated, pending_deletion: pending, deletion_failed: failed, stale, deleted } = RECORDS;

/** The record as the provider lists it, word for word. */
const SAME: InventoryItem = {
  sandboxId: available.id,
  name: available.name,
  externalId: available.externalId,
  metadata: { ...available.metadata },
};
const RENAMED = { ...SAME, name: 'lab-new' };
const SETTLED_MS = MADE_AT_MS + CLOCK_SKEW_ALLOWANCE_MS + 1;
const JUST_NOW_MS = MADE_AT_MS + CLOCK_SKEW_ALLOWANCE_MS;

const JUDGEMENTS: [string, Sandbox, InventoryItem | undefined, number, Verdict['type']][] = [
  ['a free one that is missing is stale', available, undefined, SETTLED_MS, 'mark_stale'],
  [
    'a free one that may be younger than the listing is not missing',
    available,
    undefined,
    JUST_NOW_MS,
    'leave',
  ],
  ['a leased one that is missing is left to its holder', allocated, undefined, SETTLED_MS, 'leave'],
  ['one on its way out may be missing', pending, undefined, SETTLED_MS, 'leave'],
  ['a failed deletion may be missing', failed, undefined, SETTLED_MS, 'leave'],
  ['a stale one is missing still', stale, undefined, SETTLED_MS, 'leave'],
  ['a tombstone is rightly missing', deleted, undefined, SETTLED_MS, 'leave'],
  ['an unchanged free one costs nothing', available, SAME, SETTLED_MS, 'leave'],
  ['an unchanged leased one costs nothing', allocated, SAME, SETTLED_MS, 'leave'],
  ['a new name is taken over', available, RENAMED, SETTLED_MS, 'describe'],
  ['a new external id is taken over', available, { ...SAME, externalId: 'x' }, SETTLED_MS, 'describe'],
  [
    'a changed attribute is taken over',
    available,
    { ...SAME, metadata: { state: 'x' } },
    SETTLED_MS,
    'describe',
  ],
  ['a lost attribute is taken over', available, { ...SAME, metadata: {} }, SETTLED_MS, 'describe'],
  [
    'a further attribute is taken over',
    available,
    { ...SAME, metadata: { ...SAME.metadata, more: 'x' } },
    SETTLED_MS,
    'describe',
  ],
  [
    'an attribute under another name is taken over',
    available,
    { ...SAME, metadata: { more: 'active' } },
    SETTLED_MS,
    'describe',
  ],
  ['a leased one may be renamed', allocated, RENAMED, SETTLED_MS, 'describe'],
  ['one on its way out may be renamed', pending, RENAMED, SETTLED_MS, 'describe'],
  ['a failed deletion may be renamed', failed, RENAMED, SETTLED_MS, 'describe'],
  ['a stale one that is listed is back', stale, RENAMED, SETTLED_MS, 'restore'],
  ['a deleted one that a later listing has is new', deleted, SAME, SETTLED_MS, 'revive'],
  ['a deleted one that an earlier listing has stays deleted', deleted, SAME, JUST_NOW_MS, 'leave'],
  ['a purged one that a later listing has comes back', purge(failed, MADE_AT_MS), SAME, SETTLED_MS, 'revive'],
];

describe('a record against a complete listing', () => {
  it.each(JUDGEMENTS)('%s', (_, record, listed, listingStartedAtMs, expected) => {
    const verdict = judge(record, listed, listingStartedAtMs, listingStartedAtMs + 1);
    expect(verdict.type).toBe(expected);
    if (verdict.type === 'leave') return;
    const { name, updatedAtMs } = verdict.next;
    expect({ name, updatedAtMs }).toEqual({
      name: listed?.name ?? record.name,
      updatedAtMs: listingStartedAtMs + 1,
    });
  });

  it('never changes a status but free, stale and gone ones', () => {
    const changed = JUDGEMENTS.filter(([, record, listed, startedAtMs]) => {
      const verdict = judge(record, listed, startedAtMs, startedAtMs);
      return verdict.type !== 'leave' && verdict.next.status !== record.status;
    });
    const statuses = new Set(changed.map(([, record]) => record.status));
    expect([...statuses].sort()).toEqual(['available', 'deleted', 'stale']);
  });
});

it('the first of several entries for an id counts, and the others are counted', () => {
  const { byId, duplicates } = dedupe([SAME, RENAMED, { ...SAME, sandboxId: 'other' }]);
  expect([...byId.entries()]).toEqual([
    [SAME.sandboxId, SAME],
    ['other', { ...SAME, sandboxId: 'other' }],
  ]);
  expect(duplicates).toBe(1);
});

it('only what is free or leased speaks against a listing that lacks it', () => {
  const expected = Object.values(RECORDS).filter(isExpected);
  expect(expected.map((record) => record.status)).toEqual(['available', 'allocated']);
});
