import { describe, expect, test } from 'vitest';
import {
  afterRest,
  checkEvidenceRules,
  conclusion,
  type Evidence,
  isInDoubt,
  NO_EVIDENCE,
  spread,
  withOutcome,
} from '../../../src/domain/resilience/delete-evidence.ts';

const RULES = { failures: 5, share: 0.5, atLeast: 10, windowMs: 300_000 };
const LAST = { refused: false, isLast: true };

/** The evidence of these, one a second: ids in capitals failed. */
const evidenceOf = (story: string, rules = RULES, before = NO_EVIDENCE): Evidence =>
  [...story].reduce((evidence, letter, second) => {
    const outcome = {
      sandboxId: letter.toLowerCase(),
      failed: letter !== letter.toLowerCase(),
      atMs: second * 1000,
    };
    return withOutcome(evidence, outcome, rules);
  }, before);

describe('failures in a row', () => {
  test.each([
    ['ABCD', undefined],
    ['ABCDE', 'down'],
    ['ABCDABCD', undefined],
    ['ABCDxE', undefined],
    ['xABCDE', 'down'],
  ])('%s: %s', (story, expected) => {
    expect(conclusion(evidenceOf(story), LAST, RULES)).toBe(expected);
  });

  test('are not believed before another one was asked in doubt', () => {
    expect(conclusion(evidenceOf('ABCDEFG'), { refused: false, isLast: false }, RULES)).toBeUndefined();
    expect([isInDoubt(evidenceOf('A')), isInDoubt(evidenceOf('Ab')), isInDoubt(NO_EVIDENCE)]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test('of a provider that serves nobody are two', () => {
    const refused = { refused: true, isLast: true };
    expect(conclusion(evidenceOf('A'), refused, RULES)).toBeUndefined();
    expect(conclusion(evidenceOf('AB'), refused, RULES)).toBe('down');
  });
});

describe('a share of failures', () => {
  test('is of the latest two hundred sandboxes, however many there are', () => {
    let evidence = NO_EVIDENCE;
    for (let n = 0; n < 1_000; n++) {
      evidence = withOutcome(evidence, { sandboxId: `sandbox-${n}`, failed: false, atMs: n }, RULES);
    }
    expect([...evidence.recent.keys()]).toEqual(
      Array.from({ length: 200 }, (_, index) => `sandbox-${800 + index}`),
    );
  });

  test.each([
    ['aBcDeFgHi', undefined],
    ['aBcDeFgHiJ', 'half_failing'],
    ['aBcDeFgHij', undefined],
    ['aBBBBBcBdBeBfB', undefined],
  ])('%s: %s', (story, expected) => {
    expect(conclusion(evidenceOf(story), { refused: false, isLast: false }, RULES)).toBe(expected);
  });

  test('is of the window', () => {
    const rules = { ...RULES, windowMs: 5_000 };
    expect(evidenceOf('aBcDeFgHiJ', rules).recent.size).toBe(5);
  });
});

describe('the order of a queue', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index);

  test('keeps each one, and the first one first', () => {
    expect(spread(hundred).toSorted((a, b) => a - b)).toEqual(hundred);
    expect(spread(hundred)[0]).toBe(0);
    expect([spread([]), spread([7])]).toEqual([[], [7]]);
  });

  test.each([0, 13, 50, 95])('has one of five neighbours from place %d on among any ten', (from) => {
    const order = spread(hundred);
    for (let at = 0; at < 90; at++) {
      const met = order.slice(at, at + 10).filter((each) => each >= from && each < from + 5);
      expect(met.length).toBeLessThanOrEqual(1);
    }
  });
});

test.each([
  ['failures', { failures: 0 }],
  ['share', { share: 0 }],
  ['share', { share: 1.1 }],
  ['atLeast', { atLeast: 0.5 }],
  ['windowMs', { windowMs: Number.NaN }],
])('rules with a wrong %s are refused by name', (name, wrong) => {
  expect(() => checkEvidenceRules({ ...RULES, ...wrong })).toThrow(name);
});

describe('after a rest for a share of failures', () => {
  const foundAfter = (story: string, rules = RULES) =>
    conclusion(evidenceOf(story, rules, afterRest('half_failing', 0, rules)), LAST, rules);

  test('those that can be deleted are not kept by the others again, nor by a few of these in a row', () => {
    expect(foundAfter('AbCdEfGhIjKl')).toBeUndefined();
    expect(foundAfter('bABCDEFGHI')).toBeUndefined();
    expect(foundAfter('bABCDEFGHIJ')).toBe('down');
  });

  test('the share counts again when a window has passed', () => {
    const rules = { ...RULES, windowMs: 11_000 };
    expect(foundAfter('AbCdEfGhIjK', rules)).toBeUndefined();
    expect(foundAfter('AbCdEfGhIjKL', rules)).toBe('half_failing');
  });

  test('after any other rest nothing is known', () => {
    expect(afterRest('down', 0, RULES)).toEqual(NO_EVIDENCE);
  });
});
