import type { SandboxEvent } from '../../../src/domain/event.ts';
import type { SandboxStatus } from '../../../src/domain/sandbox.ts';
import type { OperatorCall, ReportCall } from './history.ts';
import { DELETED, ENDED, GIVEN, GRANTED, LIFE, type Pair, RECYCLED, TAKEN, thenBob } from './life.ts';
import {
  allocated,
  ended,
  granted,
  held,
  kept,
  keyFor,
  leased,
  STORY_STARTED_MS,
  type Story,
  spanOf,
} from './story.ts';

const operated = (
  op: 'quarantine' | 'restore',
  id: string,
  times: readonly [number, number],
): OperatorCall => ({
  op,
  id,
  sandboxId: 's1',
  outcome: { type: 'done' },
  ...spanOf(times),
});

const moved = (
  action: 'quarantine' | 'restore',
  call: string,
  atMs: number,
  [from, to]: readonly [SandboxStatus, SandboxStatus],
): Partial<SandboxEvent> => ({
  sandboxId: 's1',
  action,
  from,
  to,
  correlationId: call,
  atMs: STORY_STARTED_MS + atMs,
});

/** bob takes s1 [220, 230], as its fourth or so lease of life. */
const bobHas = (generation: number): Pick<Story, 'sandboxes' | 'keys'> => ({
  sandboxes: [held('s1', generation, 'c2', 'bob')],
  keys: [keyFor('s1', 'c2', 'bob')],
});
const BOB_TAKES = allocated('c2', 'bob', [220, 230], leased('s1'));
const BOB_GETS = granted('s1', 'bob', 'c2', 225);

const KEPT = operated('quarantine', 'q1', [30, 40]);
const BACK = operated('restore', 'r1', [50, 60]);

/** ada reports s1 [30, 40], and is told of this instead. */
const told = (replacementId?: string, key?: string): ReportCall => ({
  op: 'report',
  id: 'p1',
  holder: 'ada',
  sandboxId: 's1',
  key,
  replaces: true,
  outcome: {
    type: 'reported',
    replacement: replacementId === undefined ? undefined : { sandboxId: replacementId },
  },
  ...spanOf([30, 40]),
});
const REPORTED = { ...ended('s1', 'ada', 'p1', 35, 'report'), to: 'quarantined' as const };
const REPLACED = granted('s2', 'ada', 'p1', 35);
/** She has s2 for s1. */
const REPLACEMENT: Story = {
  calls: [TAKEN, told('s2')],
  events: [GRANTED, REPORTED, REPLACED],
  sandboxes: [kept('s1', 3), held('s2', 2, 'p1', 'ada')],
  keys: [keyFor('s2', 'p1', 'ada')],
};
const ASKED_AGAIN = { ...allocated('c5', 'ada', [50, 60], leased('s2')), key: 'build-7' };

/** s1, cleaned at 210, is free. */
const cooled = (atMs: number): Partial<SandboxEvent> => ({
  sandboxId: 's1',
  action: 'cooled',
  from: 'cooling',
  to: 'available',
  atMs: STORY_STARTED_MS + atMs,
});

/** What is kept out of the pool. */
export const FIT_PAIRS: readonly Pair[] = [
  {
    what: 'bob gets s1 from quarantine',
    rule: 'unfit_lease',
    broken: {
      calls: [KEPT, BOB_TAKES],
      events: [moved('quarantine', 'q1', 35, ['available', 'quarantined']), BOB_GETS],
      ...bobHas(3),
    },
    lawful: {
      calls: [KEPT, BACK, BOB_TAKES],
      events: [
        moved('quarantine', 'q1', 35, ['available', 'quarantined']),
        moved('restore', 'r1', 55, ['quarantined', 'available']),
        BOB_GETS,
      ],
      ...bobHas(4),
    },
  },
  {
    what: 's1 is to be in quarantine after its lease, and goes to a cleanup and to bob',
    rule: 'unfit_lease',
    broken: {
      calls: [TAKEN, KEPT, GIVEN, BOB_TAKES],
      events: [GRANTED, moved('quarantine', 'q1', 35, ['allocated', 'allocated']), ENDED, RECYCLED, BOB_GETS],
      deletes: [DELETED],
      ...bobHas(6),
    },
    lawful: {
      calls: [TAKEN, KEPT, BACK, GIVEN, BOB_TAKES],
      events: [
        GRANTED,
        moved('quarantine', 'q1', 35, ['allocated', 'allocated']),
        moved('restore', 'r1', 55, ['allocated', 'allocated']),
        ENDED,
        RECYCLED,
        BOB_GETS,
      ],
      deletes: [DELETED],
      ...bobHas(7),
    },
  },
  {
    what: 'bob gets s1, which ada has reported',
    rule: 'unfit_lease',
    broken: {
      ...REPLACEMENT,
      calls: [TAKEN, told('s2'), BOB_TAKES],
      events: [GRANTED, REPORTED, REPLACED, BOB_GETS],
      sandboxes: [held('s1', 4, 'c2', 'bob'), held('s2', 2, 'p1', 'ada')],
      keys: [keyFor('s1', 'c2', 'bob'), keyFor('s2', 'p1', 'ada')],
    },
    lawful: REPLACEMENT,
  },
  {
    what: 'ada is told of s2 instead of s1, and it is not hers',
    rule: 'lost_lease',
    broken: {
      calls: [TAKEN, told('s2')],
      events: [GRANTED, REPORTED],
      sandboxes: [kept('s1', 3)],
    },
    lawful: REPLACEMENT,
  },
  {
    what: 'ada gets s2 for a report that has ended no lease',
    rule: 'split_key',
    broken: {
      calls: [TAKEN, { ...told('s2', 'build-7'), outcome: { type: 'unknown' } }],
      events: [GRANTED, REPLACED],
      sandboxes: [held('s1', 2, 'c1', 'ada'), held('s2', 2, 'p1', 'ada')],
      keys: [keyFor('s1', 'c1', 'ada'), { ...keyFor('s2', 'p1', 'ada'), pk: 'I#ada' }],
    },
    lawful: REPLACEMENT,
  },
  {
    what: 'a key that ada had chosen is given s2 after s1 was reported, and not for that report',
    rule: 'split_key',
    broken: {
      ...REPLACEMENT,
      calls: [{ ...TAKEN, key: 'build-7' }, told(undefined, 'build-7'), ASKED_AGAIN],
      events: [GRANTED, REPORTED, granted('s2', 'ada', 'c5', 55)],
      sandboxes: [kept('s1', 3), held('s2', 2, 'c5', 'ada')],
      keys: [keyFor('s2', 'c5', 'ada')],
    },
    lawful: { ...REPLACEMENT, calls: [{ ...TAKEN, key: 'build-7' }, told('s2', 'build-7')] },
  },
  {
    what: 'bob gets s1 while it cools down',
    rule: 'unfit_lease',
    broken: {
      ...thenBob(220, 230),
      events: [GRANTED, ENDED, { ...RECYCLED, to: 'cooling' }, BOB_GETS],
    },
    lawful: {
      ...thenBob(270, 280),
      events: [GRANTED, ENDED, { ...RECYCLED, to: 'cooling' }, cooled(260), granted('s1', 'bob', 'c2', 275)],
      sandboxes: [held('s1', 6, 'c2', 'bob')],
      more: { cooldownMs: 50 },
    },
  },
  {
    what: 's1 is free before it has cooled down',
    rule: 'unfit_lease',
    broken: {
      ...LIFE,
      events: [GRANTED, ENDED, { ...RECYCLED, to: 'cooling' }, cooled(259)],
      more: { cooldownMs: 50 },
    },
    lawful: {
      ...LIFE,
      events: [GRANTED, ENDED, { ...RECYCLED, to: 'cooling' }, cooled(260)],
      more: { cooldownMs: 50 },
    },
  },
];
