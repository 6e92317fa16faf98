import { expect, test } from 'vitest';
import { BoundedMap } from '../../src/domain/bounded-map.ts';

test('past its size a bounded map forgets the key that was set longest ago, and reading keeps none', () => {
  const map = new BoundedMap<string, number>(3);
  map.set('a', 1).set('b', 2).set('c', 3);
  expect([...map.keys()]).toEqual(['a', 'b', 'c']);
  map.set('a', 4);
  expect(map.get('b')).toBe(2);
  map.set('d', 5);
  expect([...map]).toEqual([
    ['c', 3],
    ['a', 4],
    ['d', 5],
  ]);
  map.delete('c');
  map.set('e', 6);
  expect([...map.keys()]).toEqual(['a', 'd', 'e']);
});

test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
  'a bounded map of %s keys is refused',
  (maxKeys) => {
    expect(() => new BoundedMap(maxKeys)).toThrow(
      new RangeError(`maxKeys must be a whole number >= 1, not ${maxKeys}`),
    );
  },
);
