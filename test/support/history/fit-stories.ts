import type { SandboxEvent } from '../../../src/domain/event.ts';
import type { SandboxStatus } from '../../../src/domain/sandbox.ts';
import type { OperatorCall } from './history.ts';
import { DELETED, ENDED, GIVEN, GRANTED, type Pair, RECYCLED, TAKEN } from './life.ts';
import { allocated, granted, held, keyFor, leased, STORY_STARTED_MS, type Story, spanOf } from './story.ts';

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
];
