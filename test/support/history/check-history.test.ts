import { expect, test } from 'vitest';
import { ANSWER_PAIRS } from './answer-stories.ts';
import { checkHistory } from './check-history.ts';
import { DELETE_PAIRS } from './delete-stories.ts';
import { END_PAIRS } from './end-stories.ts';
import { FIT_PAIRS } from './fit-stories.ts';
import { GONE_PAIRS } from './gone-stories.ts';
import { RULES } from './history.ts';
import { KEEP_PAIRS } from './keep-stories.ts';
import { LEASE_PAIRS } from './lease-stories.ts';
import { LINE_PAIRS } from './line-stories.ts';
import { SEVERAL_PAIRS } from './several-stories.ts';
import { historyOf } from './story.ts';

const PAIRS = [
  ...LEASE_PAIRS,
  ...KEEP_PAIRS,
  ...SEVERAL_PAIRS,
  ...ANSWER_PAIRS,
  ...DELETE_PAIRS,
  ...GONE_PAIRS,
  ...FIT_PAIRS,
  ...LINE_PAIRS,
  ...END_PAIRS,
];

test.for(PAIRS)('found, as $rule: $what', ({ rule, broken }) => {
  const found = checkHistory(historyOf(broken)).map((violation) => violation.rule);
  expect(found).toEqual([rule]);
});

test.for(PAIRS)('lawful, though close to it: $what', ({ lawful }) => {
  expect(checkHistory(historyOf(lawful))).toEqual([]);
});

test('every rule is held by a history that breaks it', () => {
  expect(new Set(PAIRS.map(({ rule }) => rule))).toEqual(new Set(RULES));
});
