import type { AllocateCall, MarkAllCall, ToldLease } from './history.ts';
import { andCalls, besideEve, GIVEN, HELD, NONE_FREE, type Pair, UNKNOWN } from './life.ts';
import { allocated, ended, granted, held, keyFor, type Story, spanOf, waiting } from './story.ts';

/** ada asks for two. */
const forTwo = (outcome: AllocateCall['outcome']): AllocateCall => ({
  ...allocated('c1', 'ada', [10, 20], outcome),
  count: 2,
});
const several = (leases: ToldLease[], replayed = false): AllocateCall['outcome'] => ({
  type: 'leased_several',
  leases,
  replayed,
});
const S1 = { sandboxId: 's1' };
const S2 = { sandboxId: 's2' };

/** ada's key, which had both, of which so many are not over. */
const keyOfBoth = (liveLeases: number) => ({
  ...keyFor('s1', 'c1', 'ada'),
  members: ['s1', 's2'].map((sandboxId) => ({
    sandboxId,
    name: `lab-${sandboxId}`,
    externalId: `ext/${sandboxId}`,
    leaseId: 'lease-c1',
    fencingToken: 2,
  })),
  liveLeases,
});
/** ada has both. */
const BOTH: Story = {
  calls: [forTwo(several([S1, S2]))],
  events: [granted('s1', 'ada', 'c1', 15), granted('s2', 'ada', 'c1', 15)],
  sandboxes: [held('s1', 2, 'c1', 'ada'), held('s2', 2, 'c1', 'ada')],
  keys: [keyOfBoth(2)],
};
/** ada has given s1 back [100, 110], and has s2 still. */
const ONE_LEFT: Story = {
  ...andCalls(BOTH, GIVEN),
  events: [...(BOTH.events ?? []), ended('s1', 'ada', 'm1', 105)],
  sandboxes: [waiting('s1', 3, 'c1', 'ada'), held('s2', 2, 'c1', 'ada')],
  keys: [keyOfBoth(1)],
};
/** ada is told again of what she has, in a call of these times. */
const toldAgain = (startMs: number, endMs: number): AllocateCall => ({
  ...allocated('c2', 'ada', [startMs, endMs], several([{ ...S1, leaseOver: true }, S2], true)),
  count: 2,
});

/** ada gives back all that a key of hers has, [120, 130]. */
const allGiven = (sandboxIds?: string[]): MarkAllCall => ({
  op: 'mark_all',
  id: 'm2',
  holder: 'ada',
  outcome: sandboxIds ? { type: 'marked', sandboxIds } : { type: 'refused', code: 'SANDBOX_NOT_FOUND' },
  ...spanOf([120, 130]),
});

/** What is asked for together. */
export const SEVERAL_PAIRS: readonly Pair[] = [
  {
    what: 'of two that ada asked for one is leased',
    rule: 'partial_grant',
    broken: { ...HELD, calls: [forTwo(UNKNOWN)] },
    lawful: { ...BOTH, calls: [forTwo(UNKNOWN)] },
  },
  {
    what: 'ada is told of one of the two that were leased to her',
    rule: 'partial_grant',
    broken: { ...BOTH, calls: [forTwo(several([S1]))] },
    lawful: BOTH,
  },
  {
    what: 'of the two that ada asked for each is leased by itself',
    rule: 'split_key',
    broken: { ...BOTH, events: [granted('s1', 'ada', 'c1', 15), granted('s2', 'ada', 'c1', 16)] },
    lawful: BOTH,
  },
  {
    what: 'ada is told of a second one that is leased to eve',
    rule: 'lost_lease',
    broken: besideEve(andCalls(HELD, { ...forTwo(several([S1, S2], true)), id: 'c2' })),
    lawful: andCalls(BOTH, { ...forTwo(several([S1, S2], true)), id: 'c2' }),
  },
  {
    what: 'there are not two, says a call all through which there were',
    rule: 'false_refusal',
    broken: { calls: [forTwo(NONE_FREE)] },
    lawful: { calls: [{ ...forTwo(NONE_FREE), count: 3 }] },
  },
  {
    what: 'one of two is over, says a call before anybody has given it back',
    rule: 'lost_lease',
    broken: andCalls(ONE_LEFT, toldAgain(80, 99)),
    lawful: andCalls(ONE_LEFT, toldAgain(80, 105)),
  },
  {
    what: 'ada gives back all that her key has, and keeps one',
    rule: 'lost_mark',
    broken: andCalls(ONE_LEFT, allGiven(['s1'])),
    lawful: andCalls(
      {
        ...ONE_LEFT,
        events: [...(ONE_LEFT.events ?? []), ended('s2', 'ada', 'm2', 125)],
        sandboxes: [waiting('s1', 3, 'c1', 'ada'), waiting('s2', 3, 'c1', 'ada')],
        keys: [],
      },
      allGiven(['s1', 's2']),
    ),
  },
  {
    what: 'ada is told that she gave s2 back, and has it still',
    rule: 'lost_mark',
    broken: andCalls(ONE_LEFT, { ...allGiven(['s1', 's2']), key: 'build-7' }),
    lawful: andCalls(ONE_LEFT, { ...allGiven(['s1']), key: 'build-7' }),
  },
  {
    what: 'a key that had two has nothing, it is told',
    rule: 'lost_lease',
    broken: andCalls(ONE_LEFT, allGiven()),
    lawful: andCalls(ONE_LEFT, { ...allGiven(), key: 'build-7' }),
  },
  {
    what: 'the key of two counts one that was given back',
    rule: 'unaccounted',
    broken: { ...ONE_LEFT, keys: [keyOfBoth(2)] },
    lawful: ONE_LEFT,
  },
];
