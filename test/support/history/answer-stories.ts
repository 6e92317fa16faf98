import {
  AGAIN,
  andCalls,
  besideEve,
  ENDED,
  GIVEN,
  GRANTED,
  HELD,
  keyed,
  LIFE,
  looked,
  NONE_FREE,
  NOT_OWNER,
  type Pair,
  TAKEN,
  toldOver,
  UNKNOWN,
  WAITING,
} from './life.ts';
import { allocated, ended, granted, held, keyFor, leased, marked, STORY_TERM_MS } from './story.ts';

/** What is answered, and then is not so. */
export const ANSWER_PAIRS: readonly Pair[] = [
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
    what: 'none is free for a key whose lease is not overdue',
    rule: 'lost_lease',
    broken: andCalls(besideEve(HELD), allocated('c2', 'ada', [59_000, STORY_TERM_MS - 1], NONE_FREE)),
    lawful: andCalls(besideEve(HELD), allocated('c2', 'ada', [59_000, STORY_TERM_MS], NONE_FREE)),
  },
  {
    what: 'none is free for a key that was told of its lease by another call',
    rule: 'lost_lease',
    broken: andCalls(
      besideEve({ ...HELD, calls: [{ ...TAKEN, outcome: UNKNOWN, endMs: Infinity }] }),
      allocated('c2', 'ada', [30, 40], leased('s1', true)),
      allocated('c4', 'ada', [41, 50], NONE_FREE),
    ),
    lawful: andCalls(
      besideEve({ ...HELD, calls: [{ ...TAKEN, outcome: UNKNOWN, endMs: Infinity }] }),
      allocated('c2', 'ada', [30, 40], leased('s1', true)),
      allocated('c4', 'ada', [40, 50], NONE_FREE),
    ),
  },
  {
    what: 'none is free for a key that remembers a lease that is over',
    rule: 'lost_lease',
    broken: keyed(andCalls(besideEve(LIFE), allocated('c2', 'ada', [150, 199], NONE_FREE))),
    lawful: andCalls(besideEve(LIFE), allocated('c2', 'ada', [150, 199], NONE_FREE)),
  },
  {
    what: 'a lease is said to be over that is not',
    rule: 'lost_lease',
    broken: keyed(andCalls(LIFE, toldOver(30, 104))),
    lawful: keyed(andCalls(LIFE, toldOver(30, 105))),
  },
  {
    what: 'a lease is said to be over before its time',
    rule: 'lost_lease',
    broken: keyed(andCalls(HELD, toldOver(30, STORY_TERM_MS - 1))),
    lawful: keyed(andCalls(HELD, toldOver(30, STORY_TERM_MS))),
  },
  {
    what: 'a default key remembers a lease that is over',
    rule: 'lost_lease',
    broken: andCalls(LIFE, toldOver(120, 130)),
    lawful: keyed(andCalls(LIFE, toldOver(120, 130))),
  },
  {
    what: 'a replay tells of a sandbox between two leases of it',
    rule: 'lost_lease',
    broken: andCalls(AGAIN, allocated('c4', 'ada', [111, 219], leased('s1', true))),
    lawful: andCalls(AGAIN, allocated('c4', 'ada', [240, 250], leased('s1', true))),
  },
  {
    what: 'a holder is shown a lease that is over',
    rule: 'lost_lease',
    broken: andCalls(LIFE, looked(111, 120, 'allocated')),
    lawful: andCalls(LIFE, looked(110, 120, 'allocated')),
  },
  {
    what: 'a mark that was answered has ended the lease before, and not this one',
    rule: 'lost_mark',
    broken: andCalls(AGAIN, marked('m2', 's1', 'ada', [231, 240])),
    lawful: andCalls(AGAIN, marked('m2', 's1', 'ada', [230, 240])),
  },
  {
    what: 'a mark was answered while the lease was granted, long before its end',
    rule: 'lost_mark',
    broken: andCalls(LIFE, marked('m2', 's1', 'ada', [15, 104])),
    lawful: andCalls(LIFE, marked('m2', 's1', 'ada', [15, 105])),
  },
];
