import {
  AGAIN,
  andCalls,
  deliveredTwice,
  ENDED,
  GIVEN,
  GRANTED,
  HELD,
  keyed,
  LIFE,
  NONE_FREE,
  type Pair,
  TAKEN,
  thenBob,
  twice,
} from './life.ts';
import {
  allocated,
  deleted,
  ended,
  free,
  granted,
  held,
  keyFor,
  leased,
  marked,
  type Story,
  seen,
  spanOf,
  waiting,
} from './story.ts';

const TAKEN_S2 = allocated('c1', 'ada', [10, 20], leased('s2'));
/** ada's call got s1, which an operator took away, and s2. */
const TAKEN_AWAY: Story = {
  events: [GRANTED, ended('s1', 'ada', 'r1', 20, 'release'), granted('s2', 'ada', 'c1', 20)],
  sandboxes: [waiting('s1', 3, 'c1', 'ada'), held('s2', 2, 'c1', 'ada')],
  keys: [keyFor('s2', 'c1', 'ada')],
  more: { clockSkewMs: 1_000 },
};

const ONE_AFTER_THE_OTHER: Story = {
  calls: [
    TAKEN_S2,
    { op: 'release', id: 'r1', sandboxId: 's1', outcome: { type: 'done' }, ...spanOf([20, 30]) },
  ],
};

/** ada is told which lease she has of s1, by this token. */
const toldToken = (n: 1 | 2, times: [number, number], fencingToken: number, replayed = false) =>
  allocated(`c${n}`, 'ada', times, {
    type: 'leased',
    sandboxId: 's1',
    replayed,
    leaseId: `lease-c${n}`,
    fencingToken,
  });
/** ada has s1 for the second time, and was told these tokens. */
const tokens = (first: number, second: number): Story => ({
  ...AGAIN,
  calls: [toldToken(1, [10, 20], first), GIVEN, toldToken(2, [220, 230], second)],
});

/** Who has what, and who is told that there is none. */
export const LEASE_PAIRS: readonly Pair[] = [
  {
    what: 'bob is told of s1 before ada begins to give it back',
    rule: 'two_holders',
    broken: { ...thenBob(50, 99), deletes: [deleted('s1', 100)], more: { clockSkewMs: 1_000 } },
    lawful: { ...thenBob(50, 100), deletes: [deleted('s1', 100)], more: { clockSkewMs: 1_000 } },
  },
  {
    what: 'two leases of s1 follow each other in its history',
    rule: 'two_holders',
    broken: {
      ...thenBob(220, 230),
      events: [GRANTED, granted('s1', 'bob', 'c2', 220), { ...ENDED, holder: 'bob', correlationId: 'm2' }],
      calls: [TAKEN, allocated('c2', 'bob', [220, 230], leased('s1')), marked('m2', 's1', 'bob', [240, 250])],
      sandboxes: [waiting('s1', 4, 'c2', 'bob')],
      keys: [],
    },
    lawful: thenBob(220, 230),
  },
  {
    what: "ada's key is told of s2 before she begins to give s1 back",
    rule: 'split_key',
    broken: { ...twice(50, 99), more: { clockSkewMs: 1_000 } },
    lawful: { ...twice(50, 100), more: { clockSkewMs: 1_000 } },
  },
  {
    what: 'what was tried in vain for ada has its effect before she begins to give s1 back',
    rule: 'split_key',
    broken: deliveredTwice(90, 104),
    lawful: deliveredTwice(90, 105),
  },
  {
    what: "ada's key is told of s2 while s1 is not overdue",
    rule: 'split_key',
    broken: {
      ...twice(59_000, 59_500),
      calls: [TAKEN, allocated('c2', 'ada', [59_000, 59_500], leased('s2'))],
      events: [GRANTED, granted('s2', 'ada', 'c2', 59_400), ended('s1', 'ada', 'a-loop', 60_100, 'expire')],
    },
    lawful: {
      ...twice(60_000, 60_050),
      calls: [TAKEN, allocated('c2', 'ada', [60_000, 60_050], leased('s2'))],
      events: [GRANTED, granted('s2', 'ada', 'c2', 60_010), ended('s1', 'ada', 'a-loop', 60_100, 'expire')],
    },
  },
  {
    what: 'a key that ada had chosen is given a second sandbox within its window',
    rule: 'split_key',
    broken: keyed(twice(86_399_000, 86_399_100)),
    lawful: keyed(twice(86_400_000, 86_400_100)),
  },
  {
    what: 'one call under a key that ada had chosen is given two sandboxes, one after the other',
    rule: 'split_key',
    broken: keyed({ ...ONE_AFTER_THE_OTHER, ...TAKEN_AWAY }),
    lawful: { ...ONE_AFTER_THE_OTHER, ...TAKEN_AWAY },
  },
  {
    what: 'one call is given two sandboxes',
    rule: 'split_key',
    broken: {
      ...HELD,
      events: [GRANTED, granted('s2', 'ada', 'c1', 16), ended('s2', 'ada', 'm2', 30)],
      calls: [TAKEN, marked('m2', 's2', 'ada', [30, 40])],
      sandboxes: [held('s1', 2, 'c1', 'ada'), waiting('s2', 3, 'c1', 'ada')],
    },
    lawful: HELD,
  },
  {
    what: 'none is free, says a call all through which s2 was free',
    rule: 'false_refusal',
    broken: {
      calls: [
        allocated('c1', 'ada', [10, 20], NONE_FREE),
        allocated('c2', 'bob', [21, 30], leased('s1')),
        allocated('c3', 'eve', [5, 9], leased('s2')),
      ],
      events: [granted('s1', 'bob', 'c2', 25), granted('s2', 'eve', 'c3', 7)],
      sandboxes: [held('s1', 2, 'c2', 'bob'), held('s2', 2, 'c3', 'eve')],
      keys: [keyFor('s1', 'c2', 'bob'), keyFor('s2', 'c3', 'eve')],
    },
    lawful: {
      calls: [
        allocated('c1', 'ada', [10, 20], NONE_FREE),
        allocated('c2', 'bob', [20, 30], leased('s1')),
        allocated('c3', 'eve', [5, 9], leased('s2')),
      ],
      events: [granted('s1', 'bob', 'c2', 20), granted('s2', 'eve', 'c3', 7)],
      sandboxes: [held('s1', 2, 'c2', 'bob'), held('s2', 2, 'c3', 'eve')],
      keys: [keyFor('s1', 'c2', 'bob'), keyFor('s2', 'c3', 'eve')],
    },
  },
  {
    what: 'none is free, says a call that began after somebody had seen s1 free again',
    rule: 'false_refusal',
    broken: {
      ...LIFE,
      calls: [
        ...(LIFE.calls ?? []),
        allocated('c3', 'eve', [5, 9], leased('s2')),
        allocated('c4', 'bob', [221, 230], NONE_FREE),
      ],
      events: [...(LIFE.events ?? []), granted('s2', 'eve', 'c3', 7)],
      observations: [seen('s1', 4, [211, 220])],
      sandboxes: [held('s2', 2, 'c3', 'eve')],
      keys: [keyFor('s2', 'c3', 'eve')],
    },
    lawful: {
      ...LIFE,
      calls: [
        ...(LIFE.calls ?? []),
        allocated('c3', 'eve', [5, 9], leased('s2')),
        allocated('c4', 'bob', [220, 230], NONE_FREE),
      ],
      events: [...(LIFE.events ?? []), granted('s2', 'eve', 'c3', 7)],
      observations: [seen('s1', 4, [211, 220])],
      sandboxes: [held('s2', 2, 'c3', 'eve')],
      keys: [keyFor('s2', 'c3', 'eve')],
    },
  },
  {
    what: 'none of that name is free, says a call all through which it was',
    rule: 'false_refusal',
    broken: { calls: [{ ...allocated('c1', 'ada', [10, 20], NONE_FREE), namePrefix: 'lab-s2' }] },
    lawful: { calls: [{ ...allocated('c1', 'ada', [10, 20], NONE_FREE), namePrefix: 'lab-s3' }] },
  },
  {
    what: 'one call is given a second sandbox before the first was taken away again',
    rule: 'split_key',
    broken: {
      calls: [
        TAKEN_S2,
        { op: 'release', id: 'r1', sandboxId: 's1', outcome: { type: 'done' }, ...spanOf([21, 30]) },
      ],
      ...TAKEN_AWAY,
    },
    lawful: { ...ONE_AFTER_THE_OTHER, ...TAKEN_AWAY },
  },
  {
    what: 'none of that name is free, says a call, and no one has renamed it',
    rule: 'false_refusal',
    broken: { calls: [{ ...allocated('c1', 'ada', [10, 20], NONE_FREE), namePrefix: 'lab-s2' }] },
    lawful: {
      calls: [{ ...allocated('c1', 'ada', [10, 20], NONE_FREE), namePrefix: 'lab-s2' }],
      sandboxes: [free('s2', 2)],
    },
  },
  {
    what: 'the fencing token of a lease is that of the one before',
    rule: 'stale_token',
    broken: tokens(5, 5),
    lawful: tokens(2, 5),
  },
  {
    what: 'the fencing token of a lease changes',
    rule: 'stale_token',
    broken: andCalls(tokens(2, 5), { ...toldToken(2, [240, 250], 6, true), id: 'c4' }),
    lawful: andCalls(tokens(2, 5), { ...toldToken(2, [240, 250], 5, true), id: 'c4' }),
  },
];
