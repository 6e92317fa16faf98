import { expect, test } from 'vitest';
import { checkHistory } from './check-history.ts';
import { type GetCall, RULES, type Rule } from './history.ts';
import {
  allocated,
  deleted,
  ended,
  free,
  granted,
  held,
  historyOf,
  keyFor,
  leased,
  marked,
  recycled,
  STORY_STARTED_MS,
  STORY_TERM_MS,
  type Story,
  seen,
  sync,
  waiting,
} from './story.ts';

/*
 * Each pair is one broken promise and the lawful history that is closest to it: they differ in one thing.
 *
 * A whole life, in milliseconds: ada takes s1 [10, 20], gives it back [100, 110], it is deleted at 200 and free by 210.
 */
const TAKEN = allocated('c1', 'ada', [10, 20], leased('s1'));
const GIVEN = marked('m1', 's1', 'ada', [100, 110]);
const GRANTED = granted('s1', 'ada', 'c1', 15);
const ENDED = ended('s1', 'ada', 'm1', 105);
const RECYCLED = recycled('s1', 210);
const DELETED = deleted('s1', 200);
const LIFE: Story = {
  calls: [TAKEN, GIVEN],
  events: [GRANTED, ENDED, RECYCLED],
  deletes: [DELETED],
};
/** ada holds it still. */
const HELD: Story = {
  calls: [TAKEN],
  events: [GRANTED],
  sandboxes: [held('s1', 2, 'c1', 'ada')],
  keys: [keyFor('s1', 'c1', 'ada')],
};
/** It waits for a cleaner. */
const WAITING: Story = {
  calls: [TAKEN, GIVEN],
  events: [GRANTED, ENDED],
  sandboxes: [waiting('s1', 3, 'c1', 'ada')],
};
const NONE_FREE = { type: 'none_free' } as const;
const NOT_OWNER = { type: 'refused', code: 'NOT_SANDBOX_OWNER' } as const;
const UNKNOWN = { type: 'unknown' } as const;
const STALE = { ...free('s1', 2), status: 'stale', staleSinceMs: STORY_STARTED_MS } as const;
/** ada looks at s1, and is shown that it is to be deleted. */
const looked = (startMs: number, endMs: number): GetCall => ({
  op: 'get',
  id: 'g1',
  holder: 'ada',
  sandboxId: 's1',
  outcome: { type: 'shown', status: 'pending_deletion' },
  startMs: STORY_STARTED_MS + startMs,
  endMs: STORY_STARTED_MS + endMs,
});

/** bob takes s1 after ada, in a call of these times. */
const thenBob = (startMs: number, endMs: number): Story => ({
  ...LIFE,
  calls: [...(LIFE.calls ?? []), allocated('c2', 'bob', [startMs, endMs], leased('s1'))],
  events: [...(LIFE.events ?? []), granted('s1', 'bob', 'c2', startMs)],
  sandboxes: [held('s1', 5, 'c2', 'bob')],
  keys: [keyFor('s1', 'c2', 'bob')],
});

/** ada has s1, and her key is leased s2 in a call of these times, by an event of this time. */
const twice = (startMs: number, endMs: number, atMs = startMs): Story => ({
  calls: [TAKEN, GIVEN, allocated('c2', 'ada', [startMs, endMs], leased('s2'))],
  events: [GRANTED, ENDED, granted('s2', 'ada', 'c2', atMs)],
  sandboxes: [waiting('s1', 3, 'c1', 'ada'), held('s2', 2, 'c2', 'ada')],
  keys: [keyFor('s2', 'c2', 'ada')],
});

interface Pair {
  what: string;
  rule: Rule;
  broken: Story;
  lawful: Story;
}

const PAIRS: Pair[] = [
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
    what: 'none is free for a key that has a lease',
    rule: 'lost_lease',
    broken: {
      calls: [
        TAKEN,
        allocated('c3', 'eve', [5, 9], leased('s2')),
        allocated('c2', 'ada', [30, 40], NONE_FREE),
      ],
      events: [GRANTED, granted('s2', 'eve', 'c3', 7)],
      sandboxes: [held('s1', 2, 'c1', 'ada'), held('s2', 2, 'c3', 'eve')],
      keys: [keyFor('s1', 'c1', 'ada'), keyFor('s2', 'c3', 'eve')],
    },
    lawful: {
      calls: [
        TAKEN,
        allocated('c3', 'eve', [5, 9], leased('s2')),
        allocated('c2', 'ada', [15, 40], NONE_FREE),
      ],
      events: [GRANTED, granted('s2', 'eve', 'c3', 7)],
      sandboxes: [held('s1', 2, 'c1', 'ada'), held('s2', 2, 'c3', 'eve')],
      keys: [keyFor('s1', 'c1', 'ada'), keyFor('s2', 'c3', 'eve')],
    },
  },
  {
    what: 'a lease that was answered is in no history',
    rule: 'lost_lease',
    broken: { calls: [TAKEN] },
    lawful: { calls: [{ ...TAKEN, outcome: UNKNOWN, endMs: Infinity }] },
  },
  {
    what: 'a replay tells of a lease that was given back before it',
    rule: 'lost_lease',
    broken: { ...LIFE, calls: [TAKEN, GIVEN, allocated('c2', 'ada', [111, 120], leased('s1', true))] },
    lawful: { ...LIFE, calls: [TAKEN, GIVEN, allocated('c2', 'ada', [110, 120], leased('s1', true))] },
  },
  {
    what: 'a lease is taken back before its time',
    rule: 'lost_lease',
    broken: {
      ...WAITING,
      calls: [TAKEN],
      events: [GRANTED, ended('s1', 'ada', 'a-loop', STORY_TERM_MS - 1, 'expire')],
    },
    lawful: {
      ...WAITING,
      calls: [TAKEN],
      events: [GRANTED, ended('s1', 'ada', 'a-loop', STORY_TERM_MS, 'expire')],
    },
  },
  {
    what: 'a lease is ended by a mark of somebody else',
    rule: 'lost_lease',
    broken: { ...WAITING, calls: [TAKEN, { ...GIVEN, holder: 'bob', outcome: UNKNOWN, endMs: Infinity }] },
    lawful: { ...WAITING, calls: [TAKEN, { ...GIVEN, outcome: UNKNOWN, endMs: Infinity }] },
  },
  {
    what: 'a lease is ended by what has no business with leases',
    rule: 'lost_lease',
    broken: { ...WAITING, events: [GRANTED, { ...ENDED, action: 'sync_missing' }] },
    lawful: WAITING,
  },
  {
    what: 'a holder is told that its sandbox is not its own',
    rule: 'lost_lease',
    broken: { ...HELD, calls: [TAKEN, marked('m1', 's1', 'ada', [21, 30], NOT_OWNER)] },
    lawful: { ...HELD, calls: [TAKEN, marked('m1', 's1', 'ada', [20, 30], NOT_OWNER)] },
  },
  {
    what: 'a holder is shown its sandbox as leased no more',
    rule: 'lost_lease',
    broken: {
      ...LIFE,
      calls: [TAKEN, GIVEN, looked(30, 104)],
    },
    lawful: {
      ...LIFE,
      calls: [TAKEN, GIVEN, looked(30, 105)],
    },
  },
  {
    what: 'a mark that was answered has not ended the lease',
    rule: 'lost_mark',
    broken: { ...HELD, calls: [TAKEN, GIVEN] },
    lawful: { ...HELD, calls: [TAKEN, { ...GIVEN, outcome: UNKNOWN, endMs: Infinity }] },
  },
  {
    what: 'a mark was answered before the mark that ended the lease was sent',
    rule: 'lost_mark',
    broken: { ...LIFE, calls: [TAKEN, GIVEN, marked('m0', 's1', 'ada', [80, 99])] },
    lawful: { ...LIFE, calls: [TAKEN, GIVEN, marked('m0', 's1', 'ada', [80, 105])] },
  },
  {
    what: 'a cleanup is over without a delete at the provider',
    rule: 'lost_delete',
    broken: { ...LIFE, deletes: [deleted('s1', 200, { outcome: 'failed' })] },
    lawful: LIFE,
  },
  {
    what: 'a sandbox is gone already, says a history, and the provider knows nothing of that',
    rule: 'lost_delete',
    broken: { ...LIFE, events: [GRANTED, ENDED, recycled('s1', 210, 'already_gone')], deletes: [] },
    lawful: {
      ...LIFE,
      events: [GRANTED, ENDED, recycled('s1', 210, 'already_gone')],
      deletes: [deleted('s1', 50, { outcome: 'removed' })],
    },
  },
  {
    what: 'the provider deletes what its holder has not begun to give back',
    rule: 'unfounded_delete',
    broken: { ...LIFE, deletes: [deleted('s1', 99), DELETED], more: { clockSkewMs: 1_000 } },
    lawful: { ...LIFE, deletes: [deleted('s1', 100)], more: { clockSkewMs: 1_000 } },
  },
  {
    what: 'the provider deletes what the next holder has been told of',
    rule: 'unfounded_delete',
    broken: { ...thenBob(220, 230), deletes: [DELETED, deleted('s1', 231, { outcome: 'missed' })] },
    lawful: { ...thenBob(220, 230), deletes: [DELETED, deleted('s1', 230, { outcome: 'missed' })] },
  },
  {
    what: 'the provider deletes twice what was given back once',
    rule: 'repeated_delete',
    broken: { ...LIFE, deletes: [deleted('s1', 190), DELETED] },
    lawful: { ...LIFE, deletes: [deleted('s1', 190, { told: false }), DELETED] },
  },
  {
    what: 'the provider deletes twice, and nobody died in between',
    rule: 'repeated_delete',
    broken: {
      ...LIFE,
      deletes: [deleted('s1', 150), DELETED],
      more: { interruptionsMs: [STORY_STARTED_MS + 149, STORY_STARTED_MS + 201], takeoverMs: 50 },
    },
    lawful: {
      ...LIFE,
      deletes: [deleted('s1', 150), DELETED],
      more: { interruptionsMs: [STORY_STARTED_MS + 151], takeoverMs: 50 },
    },
  },
  {
    what: 'the provider deletes twice, sooner than anybody may take over from who died',
    rule: 'repeated_delete',
    broken: {
      ...LIFE,
      deletes: [deleted('s1', 151), DELETED],
      more: { interruptionsMs: [STORY_STARTED_MS + 155], takeoverMs: 50 },
    },
    lawful: {
      ...LIFE,
      deletes: [deleted('s1', 150), DELETED],
      more: { interruptionsMs: [STORY_STARTED_MS + 155], takeoverMs: 50 },
    },
  },
  {
    what: 'a sandbox has no record at the end',
    rule: 'unaccounted',
    broken: { more: { expectedIds: ['s1', 's2', 's3'] } },
    lawful: { sandboxes: [free('s3')], more: { expectedIds: ['s1', 's2', 's3'] } },
  },
  {
    what: 'a record is not what its history ends with',
    rule: 'unaccounted',
    broken: { ...LIFE, events: [GRANTED, ENDED], sandboxes: [free('s1', 4)] },
    lawful: LIFE,
  },
  {
    what: 'a record is older than its history',
    rule: 'unaccounted',
    broken: { ...LIFE, sandboxes: [free('s1', 3)] },
    lawful: { ...LIFE, sandboxes: [free('s1', 7)] },
  },
  {
    what: 'a record waits for a cleaner that never comes',
    rule: 'unaccounted',
    broken: {
      ...WAITING,
      sandboxes: [
        {
          ...waiting('s1', 3, 'c1', 'ada'),
          cleanup: { requestedAt: STORY_STARTED_MS / 1000, attempts: 1, retries: 0 },
        },
      ],
    },
    lawful: WAITING,
  },
  {
    what: 'a record has another lease than its history',
    rule: 'unaccounted',
    broken: {
      ...HELD,
      sandboxes: [held('s1', 2, 'c9', 'ada')],
      keys: [keyFor('s1', 'c9', 'ada')],
    },
    lawful: HELD,
  },
  {
    what: 'a key does not remember the lease that it is in',
    rule: 'unaccounted',
    broken: { ...HELD, keys: [] },
    lawful: { ...HELD, sandboxes: [held('s1', 2, 'c1', 'ada', 1_000)], keys: [] },
  },
  {
    what: 'a key remembers a lease that is over',
    rule: 'unaccounted',
    broken: { ...LIFE, keys: [keyFor('s1', 'c1', 'ada')] },
    lawful: { ...LIFE, keys: [keyFor('s1', 'c1', 'ada', 1_000)] },
  },
  {
    what: 'an event begins elsewhere than the last one ended',
    rule: 'broken_history',
    broken: { ...LIFE, events: [GRANTED, ENDED, { ...RECYCLED, from: 'deletion_failed' }] },
    lawful: LIFE,
  },
  {
    what: 'a lease was asked for by nobody',
    rule: 'broken_history',
    broken: { ...LIFE, calls: [GIVEN] },
    lawful: { ...LIFE, calls: [{ ...TAKEN, outcome: UNKNOWN, endMs: Infinity }, GIVEN] },
  },
  {
    what: 'what comes later in a history was over before what comes first began',
    rule: 'broken_history',
    broken: {
      events: [sync('s1', 'sync_missing', 5)],
      sandboxes: [STALE],
      observations: [seen('s1', 2, [2, 4])],
    },
    lawful: {
      events: [sync('s1', 'sync_missing', 4)],
      sandboxes: [STALE],
      observations: [seen('s1', 2, [2, 4])],
    },
  },
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
