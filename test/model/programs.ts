import fc from 'fast-check';
import { type Fault, type PlannedFault, REFUSALS } from './faults.ts';
import type { Program, Step } from './program.ts';

/*
 * Random programs. The weights make sandboxes change hands often: few holders, fewer sandboxes, and much of what ends a
 * lease.
 */

const MAX_REPLICAS = 4;
const MAX_SKEW_MS = 5_000;
const MAX_STEPS = 36;
const MAX_FAULTS = 8;
const NAMES = ['a1', 'a2', 'b1'];

const pick = fc.nat({ max: 7 });
const name = fc.constantFrom(...NAMES);
const fewTimes = fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 6 }));
const sometimes = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 4 });

const lateMs = fc.constantFrom(20, 400, 4_000, 12_000, 40_000);

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constant('refused' as const), how: fc.constantFrom(...REFUSALS), times: fewTimes }),
  fc.record({ kind: fc.constant('lost' as const), times: fewTimes }),
  fc.record({ kind: fc.constantFrom('late' as const, 'late_answer' as const), ms: lateMs, times: fewTimes }),
  fc.record({ kind: fc.constant('twice' as const), ms: lateMs, times: fewTimes }),
  fc.record({ kind: fc.constant('death' as const), arrives: fc.boolean(), times: fc.constant(1 as const) }),
  fc.record({
    kind: fc.constant('frozen' as const),
    ms: fc.constantFrom(3_000, 32_000, 100_000, 600_000),
    holdsCalls: fc.boolean(),
    times: fc.constant(1 as const),
  }),
);

const plannedFault: fc.Arbitrary<PlannedFault> = fc.record({ after: fc.nat({ max: 25 }), fault });

type Body = Step extends infer Each ? (Each extends Step ? Omit<Each, 'waits'> : never) : never;
const doing = <Do extends Step['do']>(verb: Do) => ({ do: fc.constant(verb), on: pick });

const body: fc.Arbitrary<Body> = fc.oneof(
  {
    weight: 14,
    arbitrary: fc.record({
      ...doing('allocate'),
      holder: fc.nat({ max: 4 }),
      key: sometimes(fc.nat({ max: 1 })),
      prefix: sometimes(fc.constantFrom('a', 'b', 'a2', 'z')),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      ...doing('mark'),
      lease: pick,
      byOther: fc.nat({ max: 7 }).map((number) => number === 7),
    }),
  },
  { weight: 1, arbitrary: fc.record({ ...doing('get'), lease: pick }) },
  { weight: 1, arbitrary: fc.record({ ...doing('release'), sandbox: pick }) },
  { weight: 2, arbitrary: fc.record({ ...doing('retry_deletion'), sandbox: pick }) },
  { weight: 3, arbitrary: fc.record({ ...doing('sync'), force: fc.boolean() }) },
  { weight: 8, arbitrary: fc.record({ ...doing('cleanup') }) },
  { weight: 2, arbitrary: fc.record({ ...doing('expire') }) },
  { weight: 2, arbitrary: fc.record({ ...doing('refresh') }) },
  { weight: 1, arbitrary: fc.record({ ...doing('purge'), hours: fc.constantFrom(0, 1, 24) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      ...doing('bulk_delete'),
      status: fc.constantFrom('stale' as const, 'deletion_failed' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('add' as const), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rename' as const), sandbox: pick, name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), sandbox: pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('bring_back' as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      seconds: fc.constantFrom(1, 12, 31, 62, 130, 1_800, 4.5 * 3_600 + 11, 25 * 3_600),
    }),
  },
  { weight: 1, arbitrary: fc.record({ ...doing('kill') }) },
  {
    weight: 1,
    arbitrary: fc.record({
      ...doing('freeze'),
      seconds: fc.constantFrom(3, 32, 100, 600),
      holdsCalls: fc.boolean(),
    }),
  },
);

/** Most steps begin while others are under way: that is where races are. */
const MOSTLY_AT_ONCE = fc.nat({ max: 3 }).map((number) => number === 3);

const step = fc.tuple(MOSTLY_AT_ONCE, body).map(([waits, rest]): Step => ({ waits, ...rest }) as Step);

export const programs: fc.Arbitrary<Program> = fc.record({
  schedule: fc.nat({ max: 2 ** 30 }),
  skewsMs: fc.array(fc.integer({ min: -MAX_SKEW_MS, max: MAX_SKEW_MS }), {
    minLength: 1,
    maxLength: MAX_REPLICAS,
  }),
  pool: fc.array(name, { minLength: 1, maxLength: 4 }),
  recycles: fc.boolean(),
  steps: fc.array(step, { minLength: 1, maxLength: MAX_STEPS, size: 'max' }),
  faults: fc.array(plannedFault, { maxLength: MAX_FAULTS, size: 'max' }),
});
