import type { SandboxEvent } from '../../../src/domain/event.ts';
import type { AllocatedSandbox } from '../../../src/domain/sandbox.ts';
import type { KeepCall, ToldLease } from './history.ts';
import {
  AGAIN,
  andCalls,
  besideEve,
  GRANTED,
  HELD,
  LIFE,
  looked,
  NONE_FREE,
  NOT_OWNER,
  type Pair,
  TAKEN,
  WAITING,
} from './life.ts';
import {
  allocated,
  ended,
  granted,
  held,
  keyFor,
  leased,
  STORY_STARTED_MS,
  type Story,
  spanOf,
  waiting,
} from './story.ts';

const STARTED = STORY_STARTED_MS / 1000;
/** Leases are 50 s long here, and taken back 10 s later; one of another length is said to be so. */
const TIMES = { bufferMs: 10_000 };

/** ada's word on her lease of s1 in a call of these times, and the answer; times of leases are seconds after the start. */
const keeps = (
  op: KeepCall['op'],
  times: [number, number],
  { until, by, ...told }: Partial<ToldLease> & { until?: number; by?: number } = {},
  more: Partial<KeepCall> = {},
): KeepCall => ({
  op,
  id: 'x1',
  holder: 'ada',
  sandboxId: 's1',
  outcome: {
    type: 'kept',
    sandboxId: 's1',
    leaseId: 'lease-c1',
    ...(until !== undefined && { expiresAt: STARTED + until }),
    ...(by !== undefined && { heartbeatBy: STARTED + by }),
    ...told,
  },
  ...spanOf(times),
  ...more,
});

const extended = (atMs: number, until: number): Partial<SandboxEvent> => ({
  sandboxId: 's1',
  holder: 'ada',
  action: 'extend',
  from: 'allocated',
  to: 'allocated',
  correlationId: 'x1',
  leaseId: 'lease-c1',
  detail: `until ${STARTED + until}`,
  atMs: STORY_STARTED_MS + atMs,
});

/** The record, whose lease ends so. */
const endingAt = (record: AllocatedSandbox, end: number, by?: number): AllocatedSandbox => {
  const times = { expiresAt: STARTED + end, reclaimAt: STARTED + end + 10 };
  const heartbeat = by === undefined ? {} : { heartbeat: { seconds: 30, by: STARTED + by } };
  return { ...record, lease: { ...record.lease, ...times, ...heartbeat } };
};
/** The record of ada's lease of s1 at the end. */
const until = (generation: number, end: number, by?: number): AllocatedSandbox =>
  endingAt(held('s1', generation, 'c1', 'ada'), end, by);

/** ada is told which lease she has of s1. */
const TOLD = allocated('c1', 'ada', [10, 20], {
  type: 'leased',
  replayed: false,
  sandboxId: 's1',
  leaseId: 'lease-c1',
});
const IN_FORCE: Story = { ...HELD, sandboxes: [until(2, 50)], more: TIMES };
/** She extends it by 100 s at this moment. */
const extends_ = (
  atMs: number,
  untilSeconds = Math.floor(atMs / 1000) + 100,
  told = untilSeconds,
): Story => ({
  ...IN_FORCE,
  calls: [TAKEN, keeps('extend', [atMs - 10, atMs + 10], { until: told }, { durationSeconds: 100 })],
  events: [GRANTED, extended(atMs, untilSeconds)],
  sandboxes: [until(3, untilSeconds)],
});
/** Extended at 30 s to 130 s, it is ended by this. */
const thenExpired = (atMs: number): Story => ({
  ...extends_(30_000),
  events: [GRANTED, extended(30_000, 130), ended('s1', 'ada', 'a-loop', atMs, 'expire')],
  sandboxes: [waiting('s1', 4, 'c1', 'ada')],
  keys: [],
});

/** A lease of 1,000 s whose holder is to be heard of every 30 s. */
const PROMISED = { ...TAKEN, durationSeconds: 1_000, heartbeatSeconds: 30 };
const ALIVE: Story = { ...HELD, calls: [PROMISED] };
/** It is taken back for silence, which she has promised not to keep, or has not. */
const silenced = (atMs: number, taken: typeof TAKEN, ...calls: KeepCall[]): Story => ({
  ...WAITING,
  calls: [taken, ...calls],
  events: [GRANTED, { ...ended('s1', 'ada', 'a-loop', atMs, 'expire'), detail: 'silent' }],
});
const BEAT_AT_40 = keeps('heartbeat', [40_000, 40_010], { by: 70 });

/** Leased to ada while she waited; she was told nothing, and it went on to the next. */
const UNCOLLECTED: Story = {
  calls: [{ ...TAKEN, waitSeconds: 0, outcome: { type: 'in_line', ticket: 't1' } }],
  events: [GRANTED, { ...ended('s1', 'ada', 'a-loop', 90_000, 'pass_on'), to: 'available' }],
};

/** ada extends s1 to 130 s, and her key is leased s2 at this moment. */
const thenAnother = (atMs: number): Story => ({
  ...andCalls(extends_(30_000), allocated('c2', 'ada', [atMs - 5, atMs + 5], leased('s2'))),
  events: [...(thenExpired(150_000).events ?? []), granted('s2', 'ada', 'c2', atMs)],
  sandboxes: [
    waiting('s1', 4, 'c1', 'ada'),
    endingAt(held('s2', 2, 'c2', 'ada'), Math.floor(atMs / 1000) + 50),
  ],
  keys: [keyFor('s2', 'c2', 'ada')],
});

/** What a lease's holder says of it while it runs, and when it is over. */
export const KEEP_PAIRS: readonly Pair[] = [
  {
    what: 'a lease is extended at its end',
    rule: 'revived_lease',
    broken: extends_(50_000),
    lawful: extends_(49_999),
  },
  {
    what: 'a lease that was given back goes on, its holder is told',
    rule: 'revived_lease',
    broken: andCalls(LIFE, keeps('heartbeat', [111, 120])),
    lawful: andCalls(LIFE, keeps('heartbeat', [110, 120])),
  },
  {
    what: 'a lease whose time is over goes on, its holder is told',
    rule: 'revived_lease',
    broken: andCalls(IN_FORCE, keeps('heartbeat', [50_000, 50_010])),
    lawful: andCalls(IN_FORCE, keeps('heartbeat', [49_999, 50_010])),
  },
  {
    what: 'a lease whose holder was silent for too long goes on by its late beat',
    rule: 'revived_lease',
    broken: andCalls(ALIVE, keeps('heartbeat', [60_000, 60_010], { by: 90 })),
    lawful: andCalls(ALIVE, keeps('heartbeat', [59_999, 60_010], { by: 90 })),
  },
  {
    what: 'a beat for a lease that is over is taken for one for the next',
    rule: 'revived_lease',
    broken: andCalls(AGAIN, keeps('heartbeat', [240, 250], { leaseId: 'lease-c2' }, { leaseId: 'lease-c1' })),
    lawful: andCalls(AGAIN, keeps('heartbeat', [240, 250], { leaseId: 'lease-c2' }, { leaseId: 'lease-c2' })),
  },
  {
    what: 'a lease that is in no history goes on',
    rule: 'lost_lease',
    broken: andCalls(IN_FORCE, keeps('heartbeat', [30, 40], { leaseId: 'lease-c9' })),
    lawful: andCalls(IN_FORCE, keeps('heartbeat', [30, 40])),
  },
  {
    what: 'a lease that was extended is taken back before its new end and the buffer',
    rule: 'lost_lease',
    broken: thenExpired(139_999),
    lawful: thenExpired(140_000),
  },
  {
    what: 'a lease is taken back from who gave its sign of life in time',
    rule: 'lost_lease',
    broken: silenced(99_999, PROMISED, BEAT_AT_40),
    lawful: silenced(100_000, PROMISED, BEAT_AT_40),
  },
  {
    what: 'a lease is taken back for the silence of who did not promise to be heard of',
    rule: 'lost_lease',
    broken: silenced(70_000, { ...PROMISED, heartbeatSeconds: undefined }),
    lawful: silenced(70_000, PROMISED),
  },
  {
    what: 'a lease that runs is over, its holder is told',
    rule: 'lost_lease',
    broken: {
      ...IN_FORCE,
      calls: [
        TOLD,
        keeps('extend', [30_000, 49_999], {}, { outcome: { type: 'refused', code: 'LEASE_OVER' } }),
      ],
    },
    lawful: {
      ...IN_FORCE,
      calls: [
        TOLD,
        keeps('extend', [30_000, 50_000], {}, { outcome: { type: 'refused', code: 'LEASE_OVER' } }),
      ],
    },
  },
  {
    what: 'a lease of which its holder was told goes on to the next',
    rule: 'lost_lease',
    broken: andCalls(UNCOLLECTED, keeps('heartbeat', [30_000, 30_010])),
    lawful: andCalls(
      UNCOLLECTED,
      keeps('heartbeat', [30_000, 30_010], {}, { outcome: { type: 'refused', code: 'LEASE_OVER' } }),
    ),
  },
  {
    what: 'a holder is shown a lease that goes on to the next',
    rule: 'lost_lease',
    broken: andCalls(UNCOLLECTED, looked(30_000, 30_010, 'allocated')),
    lawful: andCalls(UNCOLLECTED, { ...looked(30_000, 30_010), outcome: NOT_OWNER }),
  },
  {
    what: 'none is free for a key whose lease was extended',
    rule: 'lost_lease',
    broken: andCalls(
      besideEve({ ...extends_(30_000), more: { termMs: 50_000 } }),
      allocated('c2', 'ada', [125_000, 129_999], NONE_FREE),
    ),
    lawful: andCalls(
      besideEve({ ...extends_(30_000), more: { termMs: 50_000 } }),
      allocated('c2', 'ada', [125_000, 130_000], NONE_FREE),
    ),
  },
  {
    what: "ada's key is told of s2 while s1, which she has extended, is not overdue",
    rule: 'split_key',
    broken: thenAnother(139_999),
    lawful: thenAnother(140_000),
  },
  {
    what: 'an extension is shorter than it was asked for',
    rule: 'wrong_end',
    broken: extends_(30_000, 129),
    lawful: extends_(30_000, 130),
  },
  {
    what: 'a lease is extended beyond the longest that there is',
    rule: 'wrong_end',
    broken: { ...extends_(30_000, 130), more: { ...TIMES, maxLeaseMs: 129_000 } },
    lawful: { ...extends_(30_000, 129), more: { ...TIMES, maxLeaseMs: 129_000 } },
  },
  {
    what: 'a holder is told of a later end than its lease has',
    rule: 'wrong_end',
    broken: extends_(30_000, 130, 131),
    lawful: extends_(30_000, 130, 130),
  },
  {
    what: 'an extension is acknowledged, and nothing is extended',
    rule: 'wrong_end',
    broken: andCalls(IN_FORCE, keeps('extend', [30_000, 30_010], { until: 50 }, { durationSeconds: 21 })),
    lawful: andCalls(IN_FORCE, keeps('extend', [30_000, 30_010], { until: 50 }, { durationSeconds: 20 })),
  },
  {
    what: 'a lease lasts longer than was asked for',
    rule: 'wrong_end',
    broken: { ...IN_FORCE, calls: [{ ...TAKEN, durationSeconds: 40 }] },
    lawful: { ...IN_FORCE, calls: [{ ...TAKEN, durationSeconds: 50 }] },
  },
  {
    what: 'a lease goes on though nobody has heard of its holder',
    rule: 'wrong_end',
    broken: { ...ALIVE, sandboxes: [until(2, 1_000, 31)], more: TIMES },
    lawful: { ...ALIVE, sandboxes: [until(2, 1_000, 30)], more: TIMES },
  },
  {
    what: 'a sign of life is acknowledged and forgotten',
    rule: 'wrong_end',
    broken: { ...andCalls(ALIVE, BEAT_AT_40), sandboxes: [until(2, 1_000, 69)], more: TIMES },
    lawful: { ...andCalls(ALIVE, BEAT_AT_40), sandboxes: [until(2, 1_000, 70)], more: TIMES },
  },
];
