import type { AllocateCall, Call } from './history.ts';
import { LIFE, type Pair } from './life.ts';
import { allocated, granted, held, keyFor, leased, STORY_STARTED_MS, type Story, sync } from './story.ts';

const at = (ms: number) => STORY_STARTED_MS + ms;

/** A call of who wants to wait. */
const waits = (
  id: string,
  holder: string,
  times: [number, number],
  outcome: AllocateCall['outcome'],
  priority = 0,
): AllocateCall => ({ ...allocated(id, holder, times, outcome), waitSeconds: 0, priority });

const inLine = (ticket: string): AllocateCall['outcome'] => ({ type: 'in_line', ticket });

/** bob is told of his place [120, 130], and asks again [from, to]. */
const bobWaits = (from: number, to: number): Call[] => [
  waits('w1', 'bob', [120, 130], inLine('t1')),
  waits('w2', 'bob', [from, to], inLine('t1')),
];

/** s1 comes back at 210 and goes to cyd, by a call of these times, at this moment; bob waits meanwhile. */
const cydGets = (call: AllocateCall, atMs: number, bobUntilMs: number): Story => ({
  calls: [...(LIFE.calls ?? []), ...bobWaits(bobUntilMs, bobUntilMs + 10), call],
  events: [...(LIFE.events ?? []), granted('s1', 'cyd', call.id, atMs), sync('s2', 'sync_missing', 50)],
  sandboxes: [
    held('s1', 5, call.id, 'cyd'),
    {
      id: 's2',
      name: 'lab-s2',
      externalId: 'ext/s2',
      metadata: {},
      createdAtMs: at(0),
      generation: 2,
      updatedAtMs: at(0),
      status: 'stale',
      staleSinceMs: at(50),
    },
  ],
  keys: [keyFor('s1', call.id, 'cyd')],
  deletes: LIFE.deletes ?? [],
  observations: [{ sandboxId: 's2', generation: 2, startMs: at(50), endMs: at(51) }],
  more: { patienceMs: 10_000, idleMs: 50 },
});

const cyd = (times: [number, number], priority = 0) => waits('c9', 'cyd', times, leased('s1'), priority);

/** cyd asks when bob does, is told of this place, and gets s1 while bob waits. */
const behind = (ticket: string): Story => {
  const story = cydGets(waits('c9', 'cyd', [120, 130], inLine(ticket)), 215, 300);
  return { ...story, calls: [...(story.calls ?? []), waits('c10', 'cyd', [220, 230], leased('s1'))] };
};

/** s1 is free from 210 on, and bob waits until then. */
const freeBeside = (untilMs: number): Story => ({
  ...cydGets(cyd([300, 310]), 305, untilMs),
  calls: [...(LIFE.calls ?? []), ...bobWaits(untilMs, untilMs + 5)],
  events: [...(LIFE.events ?? []), sync('s2', 'sync_missing', 50)],
  sandboxes: (cydGets(cyd([300, 310]), 305, untilMs).sandboxes ?? []).slice(1),
  keys: [],
  observations: [
    { sandboxId: 's2', generation: 2, startMs: at(50), endMs: at(51) },
    { sandboxId: 's1', generation: 4, startMs: at(211), endMs: at(212) },
  ],
});

/** What bob is told when he asks a second time. */
const toldThen = (outcome: AllocateCall['outcome'], atMs = 400): Story => ({
  calls: [waits('w1', 'bob', [120, 130], inLine('t1')), waits('w2', 'bob', [atMs, atMs + 10], outcome)],
  more: { patienceMs: 10_000, idleMs: 1_000_000 },
});

/** bob got s1 while he did not call, and it went on to the next. */
const PASSED_ON: Story = {
  ...LIFE,
  calls: [...(LIFE.calls ?? []), waits('w1', 'bob', [120, 130], inLine('t1'))],
  events: [
    ...(LIFE.events ?? []),
    granted('s1', 'bob', 'w1', 210),
    {
      sandboxId: 's1',
      holder: 'bob',
      action: 'pass_on',
      from: 'allocated',
      to: 'available',
      atMs: at(500),
    },
  ],
  more: { patienceMs: 10_000, idleMs: 1_000_000 },
};

/** Who waits in line. */
export const LINE_PAIRS: readonly Pair[] = [
  {
    what: 'cyd comes when bob has a place, and is served while bob waits on',
    rule: 'overtaken',
    broken: cydGets(cyd([140, 220]), 215, 300),
    lawful: cydGets(cyd([125, 220]), 215, 300),
  },
  {
    what: 'cyd comes later, and is no more important',
    rule: 'overtaken',
    broken: cydGets(cyd([140, 220], 0), 215, 300),
    lawful: cydGets(cyd([140, 220], 1), 215, 300),
  },
  {
    what: 'bob waited on when cyd was served',
    rule: 'overtaken',
    broken: cydGets(cyd([140, 220]), 215, 221),
    lawful: cydGets(cyd([140, 220]), 215, 214),
  },
  {
    what: 'cyd, who came at the same time, has a place behind that of bob, and is served before him',
    rule: 'overtaken',
    broken: behind('t2'),
    lawful: behind('t0'),
  },
  {
    what: 's1 is free while bob waits',
    rule: 'idle_beside_waiter',
    broken: freeBeside(300),
    lawful: freeBeside(250),
  },
  {
    what: 'bob asks again in time, and has another place',
    rule: 'lost_place',
    broken: toldThen(inLine('t2')),
    lawful: toldThen(inLine('t1')),
  },
  {
    what: 'bob asks again in time, and is told that his place is gone',
    rule: 'lost_place',
    broken: toldThen({ type: 'refused', code: 'PLACE_LOST' }),
    lawful: toldThen({ type: 'refused', code: 'PLACE_LOST' }, 6_000),
  },
  {
    what: 'bob was told of s1 before it went on to the next',
    rule: 'lost_lease',
    broken: {
      ...PASSED_ON,
      calls: [...(PASSED_ON.calls ?? []), waits('w2', 'bob', [300, 310], leased('s1'))],
    },
    lawful: { ...PASSED_ON, calls: PASSED_ON.calls ?? [] },
  },
];
