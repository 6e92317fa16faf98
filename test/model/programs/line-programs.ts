import fc from 'fast-check';
import type { Program, Step } from '../program.ts';
import { BEAT_SECONDS, SHORT_LEASE_SECONDS } from './choices.ts';
import { MAX_SKEW_MS } from './programs.ts';
import { plannedFault } from './random-faults.ts';

/*
 * Random programs of a line: few sandboxes that change hands often, and callers who ask again and again as clients do,
 * some of them without waiting, some for the last time.
 */

const choice = fc.nat({ max: 7 });
const holder = fc.nat({ max: 5 });
/** A key of the caller's own, which remembers its lease. */
const key = fc.constantFrom(undefined, undefined, 1);
const seconds = fc.constantFrom(0, 0, 3);
const priority = fc.constantFrom(0, 0, 0, 0, 1);
/** Seldom anything but what a lease is unasked. */
const terms = {
  durationSeconds: fc.constantFrom(undefined, undefined, undefined, SHORT_LEASE_SECONDS),
  heartbeatSeconds: fc.constantFrom(undefined, undefined, undefined, BEAT_SECONDS),
};
const prefix = fc.constantFrom(undefined, undefined, undefined, 'a', 'b');

type Bare = Step extends infer Each ? (Each extends Step ? Omit<Each, 'waits'> : never) : never;

const bare: fc.Arbitrary<Bare> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      on: choice,
      holder,
      key,
      ...terms,
      seconds,
      priority,
      prefix,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('allocate' as const), on: choice, holder: fc.constantFrom(6, 7) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('heartbeat' as const),
      on: choice,
      lease: choice,
      byId: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('extend' as const),
      on: choice,
      lease: choice,
      byId: fc.boolean(),
      seconds: fc.constantFrom(60, 8 * 3_600),
    }),
  },
  { weight: 7, arbitrary: fc.record({ do: fc.constant('mark' as const), on: choice, lease: choice }) },
  { weight: 7, arbitrary: fc.record({ do: fc.constant('cleanup' as const), on: choice }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('expire' as const, 'free_cooled' as const, 'tend_line' as const),
      on: choice,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refresh' as const), on: choice }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('report' as const),
      on: choice,
      lease: choice,
      replaces: fc.constant(true),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restore' as const), on: choice, sandbox: choice }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), on: choice, place: choice }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), on: choice }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('sync' as const), on: choice, force: fc.constant(true) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('add' as const), name: fc.constantFrom('a3', 'b3') }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('pass' as const), seconds: fc.constantFrom(1, 4, 12, 75) }),
  },
);

const step = fc.tuple(fc.boolean(), bare).map(([waits, rest]) => ({ waits, ...rest }) as Step);

/** All take their places, and go on asking while sandboxes come back one by one. */
const crowd: fc.Arbitrary<Step[]> = fc
  .tuple(choice, choice, fc.array(step, { maxLength: 6 }))
  .map(([on, other, between]): Step[] => {
    const all = (at: number): Step[] =>
      [0, 1, 2, 3, 4].map((each) => ({
        waits: true,
        do: 'wait',
        on: at,
        holder: each,
        seconds: 0,
        priority: 0,
      }));
    const back: Step[] = [
      { waits: true, do: 'mark', on, lease: 0 },
      { waits: true, do: 'mark', on, lease: 1 },
      { waits: false, do: 'cleanup', on: other },
    ];
    return [...all(on), ...back, ...between, ...all(other), ...back, ...all(on)];
  });

/** Somebody who does not wait was there before the crowd. */
const TAKEN: Step = { waits: true, do: 'allocate', on: 0, holder: 6 };

export const linePrograms: fc.Arbitrary<Program> = fc.record({
  schedule: fc.nat({ max: 2 ** 30 }),
  skewsMs: fc.array(fc.integer({ min: -MAX_SKEW_MS, max: MAX_SKEW_MS }), { minLength: 1, maxLength: 3 }),
  pool: fc.array(fc.constantFrom('a1', 'a2', 'b1'), { minLength: 1, maxLength: 2 }),
  deletes: fc.constant({ answer: 'recycled' as const, listedForSeconds: 0 }),
  cooldownSeconds: fc.constantFrom(0, 0, 4),
  steps: fc
    .tuple(fc.boolean(), crowd, fc.array(step, { minLength: 5, maxLength: 20, size: 'max' }))
    .map(([isTaken, first, rest]) => [...(isTaken ? [TAKEN] : []), ...first, ...rest]),
  faults: fc.array(plannedFault, { maxLength: 4 }),
});
