import type { AttributeValue } from '@aws-sdk/client-dynamodb';

/** An item as the driver has it. */
export type Image = Record<string, AttributeValue>;

const KB = 1_024;

/** The sort keys of the local indexes: both hold whole items, those that have the key. */
const INDEX_KEYS = ['status_key', 'due_key'] as const;

/** Bytes of an item as DynamoDB measures it: the names and the values. */
export const itemBytes = (item: Image): number =>
  Object.entries(item).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + valueBytes(value), 0);

function valueBytes(value: AttributeValue): number {
  if (value.S !== undefined) return Buffer.byteLength(value.S);
  if (value.N !== undefined) return numberBytes(value.N);
  if (value.M !== undefined) return 3 + itemBytes(value.M) + Object.keys(value.M).length;
  if (value.L !== undefined) return 3 + value.L.reduce((sum, each) => sum + 1 + valueBytes(each), 0);
  return 1;
}

/** Two significant digits to a byte, and one for sign and exponent. */
const numberBytes = (number: string): number =>
  Math.ceil(number.replace(/[-.]/g, '').replace(/^0+|0+$/g, '').length / 2) + 1;

const unitsOf = (image: Image | undefined): number => (image ? Math.ceil(itemBytes(image) / KB) : 0);

/** What one item's write costs, in write units, by where they are spent. */
export interface WriteUnits {
  /** The item itself: twice as much in a transaction, where it is prepared and then committed. */
  item: number;
  /** Its entries in the local indexes. */
  indexes: number;
}

/**
 * Write units of one item that was `before` and is `after`. The larger of the two counts, in begun kilobytes, and 1 where
 * there is nothing. An index entry that comes, goes or changes costs its own size; one that moves, both.
 *
 * A transaction doubles the item and not its index entries. So it was measured on DynamoDB by the authors of dynoxide,
 * whose tests have the figures; DynamoDB Local doubles the entries, too.
 */
export function writeUnits(
  before: Image | undefined,
  after: Image | undefined,
  { isTransaction }: { isTransaction: boolean },
): WriteUnits {
  const item = Math.max(unitsOf(before), unitsOf(after), 1) * (isTransaction ? 2 : 1);
  const indexes = INDEX_KEYS.map((key) => entryUnits(key, before, after));
  return { item, indexes: indexes.reduce((sum, units) => sum + units, 0) };
}

function entryUnits(
  key: (typeof INDEX_KEYS)[number],
  before: Image | undefined,
  after: Image | undefined,
): number {
  const was = before?.[key]?.S;
  const is = after?.[key]?.S;
  const [wasUnits, isUnits] = [unitsOf(before), unitsOf(after)];
  if (was !== undefined && is !== undefined) {
    if (was !== is) return wasUnits + isUnits;
    return isSame(before, after) ? 0 : Math.max(wasUnits, isUnits);
  }
  return (was === undefined ? 0 : wasUnits) + (is === undefined ? 0 : isUnits);
}

const isSame = (one: Image | undefined, other: Image | undefined): boolean =>
  JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));

const sorted = (image: Image = {}) => Object.entries(image).sort(([a], [b]) => (a < b ? -1 : 1));

/** US dollars for a million units on demand, us-east-1. */
const DOLLARS_PER_MILLION = { write: 0.625, read: 0.125 };

export const dollars = ({ reads, writes }: { reads: number; writes: number }): number =>
  (reads * DOLLARS_PER_MILLION.read + writes * DOLLARS_PER_MILLION.write) / 1e6;
