import { describe, expect, it } from 'vitest';
import {
  CLOCK_SKEW_ALLOWANCE_MS,
  type InventoryItem,
  isExpected,
  judge,
  STILL_LISTED_LIMIT_MS,
  type Verdict,
} from '../../src/domain/inventory.ts';
import { noteMissing } from '../../src/domain/quarantine.ts';
import type { Sandbox } from '../../src/domain/sandbox.ts';
import { purge, seeOff } from '../../src/domain/transitions.ts';
import { MADE_AT_MS, RECORDS } from '../support/broker/records.ts';

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
const OVERDUE_MS = MADE_AT_MS + STILL_LISTED_LIMIT_MS + 1;
const GONE: Sandbox = { ...deleted, seenGoneMs: MADE_AT_MS };
const { cooling, quarantined } = RECORDS;
const MISSED = noteMissing(quarantined, MADE_AT_MS);
const leaving = seeOff(pending, 'destroyed', MADE_AT_MS);

const JUDGEMENTS: [string, Sandbox, InventoryItem | undefined, number, Verdict['type']][] = [
  ['a free one that is missing is stale', available, undefined, SETTLED_MS, 'mark_stale'],
  [
    'a free one that may be younger than the listing is not missing',
    available,
    undefined,
    JUST_NOW_MS,
    'recent',
  ],
  ['a leased one that is missing is left to its holder', allocated, undefined, SETTLED_MS, 'leave'],
  ['one on its way out may be missing', pending, undefined, SETTLED_MS, 'leave'],
  ['a failed deletion may be missing', failed, undefined, SETTLED_MS, 'leave'],
  ['a stale one is missing still', stale, undefined, SETTLED_MS, 'leave'],
  [
    'a tombstone that is rightly missing is known for it from then on',
    deleted,
    undefined,
    SETTLED_MS,
    'see_gone',
  ],
  ['a tombstone younger than the listing is not', deleted, undefined, JUST_NOW_MS, 'recent'],
  ['a tombstone that was seen gone is left in peace', GONE, undefined, SETTLED_MS, 'leave'],
  ['the tombstone of a clean one is left in peace', purge(stale, MADE_AT_MS), undefined, SETTLED_MS, 'leave'],
  ['one that leaves and is missing is gone', leaving, undefined, SETTLED_MS, 'see_gone'],
  ['one that began to leave after the listing may be listed yet', leaving, undefined, JUST_NOW_MS, 'leave'],
  ['one that leaves is listed for a while', leaving, SAME, OVERDUE_MS - 1, 'leave'],
  ['one that leaves and does not go is to be deleted again', leaving, SAME, OVERDUE_MS, 'delete_again'],
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
  ['a stale one that was listed before it was missing is stale', stale, SAME, MADE_AT_MS - 1, 'recent'],
  ['one that cools down and is missing is stale', cooling, undefined, SETTLED_MS, 'mark_stale'],
  ['one that cools down is listed all the while', cooling, SAME, SETTLED_MS, 'leave'],
  ['one in quarantine that is listed stays there', quarantined, SAME, SETTLED_MS, 'leave'],
  ['one in quarantine may be renamed', quarantined, RENAMED, SETTLED_MS, 'describe'],
  ['one in quarantine that is missing is known for it', quarantined, undefined, SETTLED_MS, 'note_missing'],
  [
    'one in quarantine that may be younger than the listing is not',
    quarantined,
    undefined,
    JUST_NOW_MS,
    'recent',
  ],
  ['one in quarantine is missing still', MISSED, undefined, SETTLED_MS, 'leave'],
  ['one in quarantine that is listed again is not missing any more', MISSED, SAME, SETTLED_MS, 'describe'],
  [
    'one in quarantine that was listed before it was missing is missing',
    MISSED,
    SAME,
    MADE_AT_MS - 1,
    'leave',
  ],
  ['a deleted one that was seen gone and is listed is new', GONE, SAME, SETTLED_MS, 'revive'],
  ['a deleted one that was listed before it was gone is not', GONE, SAME, JUST_NOW_MS, 'recent'],
  [
    'a deleted one that is listed and was never gone stays deleted',
    deleted,
    SAME,
    OVERDUE_MS - 1,
    'still_listed',
  ],
  ['a deleted one that does not go is to be deleted again', deleted, SAME, OVERDUE_MS, 'delete_again'],
  ['a purged one that is listed comes back at once', purge(failed, MADE_AT_MS), SAME, MADE_AT_MS, 'revive'],
  [
    'a clean one whose record was purged comes back at once',
    purge(stale, MADE_AT_MS),
    SAME,
    MADE_AT_MS,
    'revive',
  ],
];

describe('a record against a complete listing', () => {
  it.each(JUDGEMENTS)('%s', (_, record, listed, listingStartedAtMs, expected) => {
    const verdict = judge(record, listed, listingStartedAtMs, listingStartedAtMs + 1);
    expect(verdict.type).toBe(expected);
    if (!('next' in verdict)) return;
    const { name, updatedAtMs } = verdict.next;
    expect({ name, updatedAtMs }).toEqual({
      name: listed?.name ?? record.name,
      updatedAtMs: listingStartedAtMs + 1,
    });
  });

  it('never changes a status but of free ones, stale ones, and of what is going or gone', () => {
    const changed = JUDGEMENTS.filter(([, record, listed, startedAtMs]) => {
      const verdict = judge(record, listed, startedAtMs, startedAtMs);
      return 'next' in verdict && verdict.next.status !== record.status;
    });
    const statuses = new Set(changed.map(([, record]) => record.status));
    expect([...statuses].sort()).toEqual(['available', 'cooling', 'deleted', 'pending_deletion', 'stale']);
  });

  it('frees nothing that was used by a listing alone', () => {
    const freed = JUDGEMENTS.filter(([, record, listed, startedAtMs]) => {
      const verdict = judge(record, listed, startedAtMs, startedAtMs);
      return 'next' in verdict && verdict.next.status === 'available' && record.status !== 'available';
    });
    const wereUsed = freed.flatMap(([, record]) => ('lease' in record && record.lease ? [record] : []));
    expect(wereUsed).toEqual([GONE]);
  });
});

it('only what is free, or soon is, leased or in quarantine speaks against a listing that lacks it, until it is known to', () => {
  const expected = [...Object.values(RECORDS), MISSED].filter(isExpected);
  expect(expected).toEqual([available, allocated, cooling, quarantined]);
});
