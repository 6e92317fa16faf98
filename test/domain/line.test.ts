import { describe, expect, test } from 'vitest';
import { etaSeconds, type Place, rivalsOf } from '../../src/domain/line.ts';

const NOW_MS = 1_000_000;
const coming = [
  { name: 'a-1', atMs: NOW_MS - 5_000 },
  { name: 'b-1', atMs: NOW_MS + 60_000 },
  { name: 'a-2', atMs: NOW_MS + 90_000 },
];
const NO_PACE = { places: 0, withinMs: 900_000 };
/** A place a minute. */
const PACE = { places: 15, withinMs: 900_000 };

describe('when a turn is expected', () => {
  test.for([
    ['what is overdue is free at any moment', { rivals: 0 }, NO_PACE, 0],
    ['the next after those before it', { rivals: 1 }, NO_PACE, 60],
    ['only of the names it asks for', { rivals: 1, namePrefix: 'a-' }, NO_PACE, 90],
    ['nobody knows of so many', { rivals: 3 }, NO_PACE, null],
    ['at the pace of the line, where nothing else is known', { rivals: 3 }, PACE, 240],
    ['whichever is sooner', { rivals: 2 }, PACE, 90],
    ['the pace is not that of a name', { rivals: 0, namePrefix: 'c-' }, PACE, null],
  ] as const)('%s', ([, turn, served, expected]) => {
    expect(etaSeconds(turn, { coming, served }, NOW_MS)).toBe(expected);
  });
});

const placeOf = (namePrefix?: string) => ({ request: { namePrefix } }) as Place;

test('a rival is who may take what one would take', () => {
  const before = [placeOf(), placeOf('a-'), placeOf('a-1'), placeOf('b-')];
  for (const [namePrefix, rivals] of [
    [undefined, 4],
    ['a-', 3],
    ['b-2', 2],
  ] as const) {
    expect(rivalsOf([...before, placeOf(namePrefix)], before.length)).toBe(rivals);
  }
});
