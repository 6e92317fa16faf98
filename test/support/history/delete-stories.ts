import { DELETED, ENDED, GIVEN, GRANTED, LIFE, type Pair, TAKEN, thenBob, WAITING } from './life.ts';
import {
  allocated,
  deleted,
  ended,
  granted,
  leased,
  marked,
  recycled,
  STORY_STARTED_MS,
  STORY_TERM_MS,
  type Story,
} from './story.ts';

/** ada's lease, of which she was not told, has run out by clocks that tell nothing. */
const RUN_OUT: Story = {
  ...WAITING,
  calls: [{ ...TAKEN, outcome: { type: 'unknown' }, endMs: Infinity }],
  events: [GRANTED, ended('s1', 'ada', 'a-loop', STORY_TERM_MS, 'expire')],
  more: { clockSkewMs: STORY_TERM_MS * 10 },
};
/** ada gives s1 back twice; her second mark is sent before she has the answer to the call that it ends. */
const TWICE_GIVEN: Story = {
  calls: [
    TAKEN,
    GIVEN,
    allocated('c2', 'ada', [105, 300], leased('s1')),
    marked('m2', 's1', 'ada', [106, 310]),
  ],
  events: [
    GRANTED,
    ENDED,
    recycled('s1', 120),
    granted('s1', 'ada', 'c2', 120),
    ended('s1', 'ada', 'm2', 120),
    recycled('s1', 300),
  ],
  more: { clockSkewMs: 1_000 },
};

/** What the provider is asked to delete. */
export const DELETE_PAIRS: readonly Pair[] = [
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
    what: 'the provider deletes what nobody can have had yet',
    rule: 'unfounded_delete',
    broken: { ...RUN_OUT, deletes: [deleted('s1', 9)] },
    lawful: { ...RUN_OUT, deletes: [deleted('s1', 10)] },
  },
  {
    what: 'the provider deletes twice before a second mark is begun',
    rule: 'repeated_delete',
    broken: { ...TWICE_GIVEN, deletes: [deleted('s1', 103), deleted('s1', 105), deleted('s1', 200)] },
    lawful: { ...TWICE_GIVEN, deletes: [deleted('s1', 106), deleted('s1', 200)] },
  },
];
