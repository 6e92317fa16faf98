import { DELETED, ENDED, GRANTED, type Pair, thenBob } from './life.ts';
import { granted, STORY_STARTED_MS, type Story, spanOf } from './story.ts';

const at = (ms: number) => STORY_STARTED_MS + ms;
const NONE: ReadonlySet<string> = new Set(['s2']);
const ALL: ReadonlySet<string> = new Set(['s1', 's2']);

/** ada gives s1 back, it is destroyed at 200, listed as a new one, and bob takes it [320, 330]. */
const listedAs = (...listings: { times: [number, number]; has: ReadonlySet<string> }[]): Story => ({
  ...thenBob(320, 330),
  events: [
    GRANTED,
    ENDED,
    {
      sandboxId: 's1',
      action: 'cleanup_deleted',
      from: 'pending_deletion',
      to: 'deleted',
      detail: 'destroyed',
      atMs: at(210),
    },
    { sandboxId: 's1', action: 'sync_revived', from: 'deleted', to: 'available', atMs: at(300) },
    granted('s1', 'bob', 'c2', 325),
  ],
  sandboxes: thenBob(320, 330).sandboxes?.map((each) => ({ ...each, generation: 6 })) ?? [],
  deletes: [DELETED],
  more: { listings: listings.map(({ times, has }) => ({ ...spanOf(times), has })) },
});

/** Who is leased what was deleted. */
export const GONE_PAIRS: readonly Pair[] = [
  {
    what: 'bob is leased what no listing has lacked since it was deleted',
    rule: 'vanishing_lease',
    broken: listedAs({ times: [201, 205], has: ALL }, { times: [290, 295], has: ALL }),
    lawful: listedAs({ times: [201, 205], has: NONE }, { times: [290, 295], has: ALL }),
  },
  {
    what: 'the listing that lacked it began before it was deleted',
    rule: 'vanishing_lease',
    broken: listedAs({ times: [199, 240], has: NONE }),
    lawful: listedAs({ times: [200, 240], has: NONE }),
  },
  {
    what: 'the listing that lacked it ended after the lease began',
    rule: 'vanishing_lease',
    broken: listedAs({ times: [310, 331], has: NONE }),
    lawful: listedAs({ times: [310, 330], has: NONE }),
  },
  {
    what: "bob is leased what was deleted, and not by the provider's word recycled",
    rule: 'vanishing_lease',
    broken: { ...thenBob(220, 230), deletes: [DELETED], more: { listings: [] } },
    lawful: { ...thenBob(220, 230), deletes: [{ ...DELETED, recycled: true }], more: { listings: [] } },
  },
];
