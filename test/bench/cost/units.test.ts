import { expect, test } from 'vitest';
import { dollars, type Image, itemBytes, writeUnits } from './units.ts';

const item = (more: Image = {}): Image => ({ pk: { S: 'B#00' }, sk: { S: 'S#one' }, ...more });
const large = item({ metadata: { M: { note: { S: 'x'.repeat(1_500) } } } });
const alone = { isTransaction: false };
const together = { isTransaction: true };

test('measures an item by its names and values', () => {
  expect(itemBytes({ name: { S: 'naïve' } })).toBe(4 + 6);
  expect(itemBytes({ n: { N: '1893456789123' } })).toBe(1 + 7 + 1);
  expect(itemBytes({ n: { N: '1893456000000' } })).toBe(1 + 4 + 1);
  expect(itemBytes({ m: { M: { a: { S: 'b' } } } })).toBe(1 + 3 + 2 + 1);
  expect(itemBytes({ l: { L: [{ BOOL: true }, { NULL: true }] } })).toBe(1 + 3 + 2 + 2);
});

test('charges an item by the larger of what it was and is, and twice in a transaction', () => {
  expect(writeUnits(undefined, item(), alone)).toEqual({ item: 1, indexes: 0 });
  expect(writeUnits(item(), undefined, alone)).toEqual({ item: 1, indexes: 0 });
  expect(writeUnits(undefined, undefined, alone)).toEqual({ item: 1, indexes: 0 });
  expect(writeUnits(large, item(), alone)).toEqual({ item: 2, indexes: 0 });
  expect(writeUnits(item(), large, together)).toEqual({ item: 4, indexes: 0 });
});

test('charges an index entry that comes, goes, moves or changes, the same in a transaction', () => {
  const free = item({ status_key: { S: 'default#available#lab' } });
  const due = item({ due_key: { S: '0001#one' } });
  for (const how of [alone, together]) {
    expect(writeUnits(undefined, free, how).indexes).toBe(1);
    expect(writeUnits(free, item(), how).indexes).toBe(1);
    expect(writeUnits(free, due, how).indexes).toBe(2);
    expect(writeUnits(due, item({ due_key: { S: '0002#one' } }), how).indexes).toBe(2);
    expect(writeUnits(due, { ...due, claim_id: { S: 'me' } }, how).indexes).toBe(1);
    expect(writeUnits(due, { ...due }, how).indexes).toBe(0);
    expect(writeUnits({ ...large, ...due }, due, how).indexes).toBe(2);
  }
});

test('adds up to dollars', () => {
  expect(dollars({ reads: 8e6, writes: 1.6e6 })).toBeCloseTo(2);
});
