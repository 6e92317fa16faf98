import type { SandboxStatus } from '../../../src/domain/sandbox.ts';
import type { Call, GetCall, Rule } from './history.ts';
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
  recycled,
  STORY_STARTED_MS,
  type Story,
  seen,
  waiting,
} from './story.ts';

/** One broken promise and the lawful history that is closest to it: they differ in one thing. */
export interface Pair {
  what: string;
  rule: Rule;
  broken: Story;
  lawful: Story;
}

/*
 * A whole life, in milliseconds: ada takes s1 [10, 20], gives it back [100, 110], it is deleted at 200 and free by 210.
 */
export const TAKEN = allocated('c1', 'ada', [10, 20], leased('s1'));
export const GIVEN = marked('m1', 's1', 'ada', [100, 110]);
export const GRANTED = granted('s1', 'ada', 'c1', 15);
export const ENDED = ended('s1', 'ada', 'm1', 105);
export const RECYCLED = recycled('s1', 210);
export const DELETED = deleted('s1', 200);
export const LIFE: Story = {
  calls: [TAKEN, GIVEN],
  events: [GRANTED, ENDED, RECYCLED],
  deletes: [DELETED],
};
/** ada holds it still. */
export const HELD: Story = {
  calls: [TAKEN],
  events: [GRANTED],
  sandboxes: [held('s1', 2, 'c1', 'ada')],
  keys: [keyFor('s1', 'c1', 'ada')],
};
/** It waits for a cleaner. */
export const WAITING: Story = {
  calls: [TAKEN, GIVEN],
  events: [GRANTED, ENDED],
  sandboxes: [waiting('s1', 3, 'c1', 'ada')],
};
export const NONE_FREE = { type: 'none_free' } as const;
export const NOT_OWNER = { type: 'refused', code: 'NOT_SANDBOX_OWNER' } as const;
export const UNKNOWN = { type: 'unknown' } as const;
export const STALE = { ...free('s1', 2), status: 'stale', staleSinceMs: STORY_STARTED_MS } as const;
/** ada looks at s1, and is shown what has become of it. */
export const looked = (
  startMs: number,
  endMs: number,
  status: SandboxStatus = 'pending_deletion',
): GetCall => ({
  op: 'get',
  id: 'g1',
  holder: 'ada',
  sandboxId: 's1',
  outcome: { type: 'shown', status },
  startMs: STORY_STARTED_MS + startMs,
  endMs: STORY_STARTED_MS + endMs,
});

/** bob takes s1 after ada, in a call of these times. */
export const thenBob = (startMs: number, endMs: number): Story => ({
  ...LIFE,
  calls: [...(LIFE.calls ?? []), allocated('c2', 'bob', [startMs, endMs], leased('s1'))],
  events: [...(LIFE.events ?? []), granted('s1', 'bob', 'c2', startMs)],
  sandboxes: [held('s1', 5, 'c2', 'bob')],
  keys: [keyFor('s1', 'c2', 'bob')],
});

/** ada has s1, and her key is leased s2 in a call of these times, by an event of this time. */
export const twice = (startMs: number, endMs: number, atMs = startMs): Story => ({
  calls: [TAKEN, GIVEN, allocated('c2', 'ada', [startMs, endMs], leased('s2'))],
  events: [GRANTED, ENDED, granted('s2', 'ada', 'c2', atMs)],
  sandboxes: [waiting('s1', 3, 'c1', 'ada'), held('s2', 2, 'c2', 'ada')],
  keys: [keyFor('s2', 'c2', 'ada')],
});

/**
 * ada's key is told of s1 again, and what had been tried for that, s2, is delivered once more by the network: somebody
 * sees it leased to her within these times.
 */
export const deliveredTwice = (seenFromMs: number, seenToMs: number): Story => ({
  calls: [TAKEN, GIVEN, allocated('c2', 'ada', [30, 40], leased('s1', true))],
  events: [GRANTED, ENDED, granted('s2', 'ada', 'c2', 35)],
  sandboxes: [waiting('s1', 3, 'c1', 'ada'), held('s2', 2, 'c2', 'ada')],
  keys: [keyFor('s2', 'c2', 'ada')],
  observations: [seen('s2', 2, [seenFromMs, seenToMs])],
});

/** eve has s2 since [5, 9], beside what ada has. */
export const besideEve = (story: Story): Story => ({
  ...story,
  calls: [...(story.calls ?? []), allocated('c3', 'eve', [5, 9], leased('s2'))],
  events: [...(story.events ?? []), granted('s2', 'eve', 'c3', 7)],
  sandboxes: [...(story.sandboxes ?? []), held('s2', 2, 'c3', 'eve')],
  keys: [...(story.keys ?? []), keyFor('s2', 'c3', 'eve')],
});

/** ada takes s1 a second time [220, 230] and holds it still. */
export const AGAIN: Story = {
  ...LIFE,
  calls: [TAKEN, GIVEN, allocated('c2', 'ada', [220, 230], leased('s1'))],
  events: [GRANTED, ENDED, RECYCLED, granted('s1', 'ada', 'c2', 225)],
  sandboxes: [held('s1', 5, 'c2', 'ada')],
  keys: [keyFor('s1', 'c2', 'ada')],
};

/** The story, whose allocations were all under a key that ada had chosen. */
export const keyed = (story: Story): Story => ({
  ...story,
  calls: (story.calls ?? []).map((call) => (call.op === 'allocate' ? { ...call, key: 'build-7' } : call)),
});
/** ada is told that her lease of s1 is over. */
export const toldOver = (startMs: number, endMs: number): Call =>
  allocated('c4', 'ada', [startMs, endMs], {
    type: 'leased',
    sandboxId: 's1',
    replayed: true,
    leaseOver: true,
  });

/** The story, and these calls. */
export const andCalls = (story: Story, ...calls: Call[]): Story => ({
  ...story,
  calls: [...(story.calls ?? []), ...calls],
});
