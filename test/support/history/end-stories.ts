import {
  ENDED,
  GIVEN,
  GRANTED,
  HELD,
  LIFE,
  type Pair,
  RECYCLED,
  STALE,
  TAKEN,
  UNKNOWN,
  WAITING,
} from './life.ts';
import { free, held, keyFor, STORY_STARTED_MS, seen, sync, waiting } from './story.ts';

/** What is left at the end, and how it came to be. */
export const END_PAIRS: readonly Pair[] = [
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
