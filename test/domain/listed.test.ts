import { expect, it } from 'vitest';
import type { InventoryItem } from '../../src/domain/inventory.ts';
import { openListing } from '../../src/domain/listed.ts';

const ITEM: InventoryItem = {
  sandboxId: 'sbx-1',
  name: 'Läb "東京" \ud83e 🧪',
  externalId: 'identity/accounts/1',
  metadata: { state: 'active', note: '' },
};

it('what is listed is given back as it was, in its order', () => {
  const other = { ...ITEM, sandboxId: 'sbx-2', metadata: {} };
  const listing = openListing([ITEM, other]);
  expect([...listing]).toEqual([ITEM, other]);
  expect(listing.get('sbx-2')).toEqual(other);
  expect([...listing.ids()]).toEqual(['sbx-1', 'sbx-2']);
  expect([listing.has('sbx-1'), listing.has('sbx-3'), listing.get('sbx-3')]).toEqual([
    true,
    false,
    undefined,
  ]);
});

it('the first of several entries for an id counts, and the others are counted', () => {
  const listing = openListing([ITEM, { ...ITEM, name: 'another' }, { ...ITEM, sandboxId: 'other' }]);
  expect(listing.get('sbx-1')?.name).toBe(ITEM.name);
  expect([listing.size, listing.duplicates]).toEqual([2, 1]);
});

it('what is forgotten is not listed any more', () => {
  const listing = openListing([ITEM, { ...ITEM, sandboxId: 'other' }]);
  listing.forget('sbx-1');
  expect([...listing.ids()]).toEqual(['other']);
  expect([listing.size, listing.get('sbx-1')]).toEqual([1, undefined]);
});
