import { describe, expect, test } from 'vitest';
import {
  bucketOf,
  bucketPk,
  dueSortKey,
  dueUpTo,
  eventKey,
  idempotencyPk,
  sandboxKey,
  statusPrefix,
  statusSortKey,
} from '../../../src/store/sandboxes/keys.ts';

/** DynamoDB's limit for a sort key. */
const MAX_SORT_KEY_BYTES = 1_024;

describe('buckets', () => {
  test.for([1, 2, 16, 64])('%d of them get about the same number of sandboxes', (buckets) => {
    const sandboxes = 10_000;
    const counts = new Array<number>(buckets).fill(0);
    for (let i = 0; i < sandboxes; i++) counts[bucketOf(`sandbox-${i}`, buckets)]! += 1;
    const expected = sandboxes / buckets;
    // Five standard deviations of a fair throw: one seed in a million lies outside, and this one is fixed.
    const allowed = 5 * Math.sqrt(expected * (1 - 1 / buckets));
    for (const count of counts) expect(Math.abs(count - expected)).toBeLessThanOrEqual(allowed);
  });

  test('follow from the id alone, and do not move between versions of the broker', () => {
    expect(['a', 'b', 'sim-0001', 'Ünïcode 🧪'].map((id) => bucketOf(id, 16))).toEqual([2, 6, 3, 10]);
    expect(sandboxKey('a', 16)).toEqual({ pk: 'B#02', sk: 'S#a' });
  });

  test('have names that sort as their numbers do', () => {
    const names = Array.from({ length: 256 }, (_, bucket) => bucketPk(bucket));
    expect([...names].sort()).toEqual(names);
    expect(new Set(names).size).toBe(256);
  });
});

describe('the key of an idempotent request', () => {
  test('cannot be met by moving text from one part to another', () => {
    const keys = [
      idempotencyPk('track', 'a', 'b'),
      idempotencyPk('track', 'ab', ''),
      idempotencyPk('track', 'a"', ',"b'),
      idempotencyPk('tracka', '', 'b'),
      idempotencyPk('admin', 'a', 'b'),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('has the same length whatever the caller sends, and does not show it', () => {
    expect(idempotencyPk('track', 'h'.repeat(10_000), 'k')).toMatch(/^I#[0-9a-f]{64}$/);
  });
});

describe('names in the index', () => {
  test('stay as they are while they fit', () => {
    expect(statusSortKey('available', 'lab-0001')).toBe('default#available#lab-0001');
    expect(statusSortKey('available', 'é'.repeat(450))).toBe(`default#available#${'é'.repeat(450)}`);
  });

  test.for([
    ['one byte', 'x'],
    ['two bytes', 'é'],
    ['three bytes', '部'],
    ['four bytes', '🧪'],
  ] as const)('are cut between characters of %s', ([, character]) => {
    for (const offset of ['', '1', '12', '123']) {
      const key = statusSortKey('pending_deletion', offset + character.repeat(1_000));
      expect(Buffer.byteLength(key)).toBeLessThanOrEqual(MAX_SORT_KEY_BYTES);
      const name = key.slice('default#pending_deletion#'.length);
      expect(name).toBe(offset + character.repeat((name.length - offset.length) / character.length));
      expect(name.isWellFormed()).toBe(true);
      // No shorter than the limit asks for.
      expect(Buffer.byteLength(name)).toBeGreaterThan(900 - Buffer.byteLength(character));
    }
  });

  test('that begin with a prefix begin with it after the cut, too', () => {
    const name = `${'部屋'.repeat(300)} end`;
    for (const length of [0, 1, 149, 150, 151, 299, 300, 301, 600, name.length]) {
      const prefix = name.slice(0, length);
      expect(
        statusSortKey('available', name).startsWith(statusPrefix('available', prefix)),
        `${length}`,
      ).toBe(true);
    }
  });

  test('of one status are apart from those of another', () => {
    expect(statusSortKey('deleted', 'x').startsWith(statusPrefix('deletion_failed'))).toBe(false);
    expect(statusSortKey('deletion_failed', 'x').startsWith(statusPrefix('deleted'))).toBe(false);
  });
});

describe('due times in the index', () => {
  test('sort by time, up to and with the moment asked for', () => {
    const nowMs = Date.UTC(2030, 0, 1);
    const upTo = dueUpTo(nowMs);
    expect(dueSortKey(nowMs - 1, 'a') < upTo).toBe(true);
    expect(dueSortKey(nowMs, '\u{10ffff}') < upTo).toBe(true);
    expect(dueSortKey(nowMs + 1, '') < upTo).toBe(false);
    expect(dueSortKey(0, 'a') < upTo).toBe(true);
    expect(dueSortKey(Date.UTC(2280, 0, 1), 'a') < upTo).toBe(false);
  });

  test('take times that are no whole milliseconds', () => {
    expect(dueSortKey(1.2, 'a')).toBe('0000000000002#a');
  });
});

test('events sort by generation', () => {
  const keys = [9, 10, 99, 1_893_456_000, 99_999_999_999].map((generation) => eventKey('id', generation).sk);
  expect([...keys].sort()).toEqual(keys);
});
