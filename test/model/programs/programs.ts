import fc from 'fast-check';
import { OUTAGE_KINDS } from '../far-side.ts';
import type { Program, ReplicaStep, Step, WorldStep } from '../program.ts';
import {
  choice,
  DAY_SECONDS,
  holder,
  LEASE_SECONDS,
  leaseTerms,
  name,
  sometimes,
  TERM_SECONDS,
} from './choices.ts';
import { plannedFault } from './random-faults.ts';
import { stories } from './stories.ts';

/*
 * Random programs. The weights make sandboxes change hands often: few holders, fewer sandboxes, and much of what ends a
 * lease.
 */

const MAX_REPLICAS = 4;
/** Of a replica's clock, to either side. */
export const MAX_SKEW_MS = 5_000;
/** Steps and stories. */
const MAX_PARTS = 24;
const MAX_FAULTS = 8;
/** So long that it is deleted again. */
const LISTED_FOR_LONG_SECONDS = 5_000;

const rarely = fc.nat({ max: 7 }).map((number) => number === 7);

type Body<Each> = Each extends Step ? Omit<Each, 'waits' | 'on'> : never;
const body = <Fields extends object>(
  weight: number,
  fields: { [Name in keyof Fields]: fc.Arbitrary<Fields[Name]> },
) => ({
  weight,
  arbitrary: fc.record(fields) as fc.Arbitrary<Fields>,
});
const verb = <Do extends Step['do']>(...verbs: Do[]) => fc.constantFrom(...verbs);

const onReplica: fc.Arbitrary<Body<ReplicaStep>> = fc.oneof(
  body(14, {
    do: verb('allocate'),
    holder,
    key: sometimes(fc.nat({ max: 1 })),
    ...leaseTerms,
    prefix: sometimes(fc.constantFrom('a', 'b', 'a2', 'z')),
  }),
  body(3, {
    do: verb('allocate_several'),
    holder,
    key: sometimes(fc.nat({ max: 1 })),
    ...leaseTerms,
    count: fc.constantFrom(2, 2, 3),
  }),
  body(1, { do: verb('mark_all'), lease: choice }),
  body(12, {
    do: verb('wait'),
    holder,
    key: sometimes(fc.nat({ max: 1 })),
    ...leaseTerms,
    prefix: sometimes(fc.constantFrom('a', 'b', 'a2', 'z')),
    seconds: fc.constantFrom(0, 3, 30),
    priority: fc.constantFrom(0, 0, 0, 1),
  }),
  body(1, { do: verb('leave'), place: choice }),
  body(2, { do: verb('tend_line') }),
  body(10, { do: verb('mark'), lease: choice, byOther: rarely }),
  body(1, { do: verb('get'), lease: choice }),
  body(4, {
    do: verb('extend'),
    lease: choice,
    byId: fc.boolean(),
    seconds: fc.constantFrom(60, 1_800, LEASE_SECONDS, 8 * 3_600, 2 * DAY_SECONDS),
  }),
  body(5, { do: verb('heartbeat'), lease: choice, byId: fc.boolean() }),
  body(3, { do: verb('report'), lease: choice, replaces: fc.boolean() }),
  body(3, { do: verb('release', 'retry_deletion'), sandbox: choice }),
  body(2, { do: verb('quarantine'), sandbox: choice, endsLease: fc.boolean() }),
  body(2, { do: verb('restore'), sandbox: choice }),
  body(3, { do: verb('sync'), force: fc.boolean() }),
  body(8, { do: verb('cleanup') }),
  body(2, { do: verb('expire') }),
  body(2, { do: verb('free_cooled') }),
  body(2, { do: verb('refresh') }),
  body(1, { do: verb('kill') }),
  body(1, { do: verb('purge'), hours: fc.constantFrom(0, 1, 24) }),
  body(1, {
    do: verb('bulk_delete'),
    status: fc.constantFrom('stale' as const, 'deletion_failed' as const),
  }),
  body(1, { do: verb('set_clock'), hours: fc.constantFrom(0, 5, -5, 26) }),
  body(1, { do: verb('freeze'), seconds: fc.constantFrom(3, 32, 100, 600), holdsCalls: fc.boolean() }),
);

const inWorld: fc.Arbitrary<Body<WorldStep>> = fc.oneof(
  body(1, { do: verb('add'), name }),
  body(1, { do: verb('rename'), sandbox: choice, name }),
  body(1, { do: verb('remove'), sandbox: choice }),
  body(1, { do: verb('bring_back') }),
  body(1, {
    do: verb('outage'),
    how: fc.constantFrom(...OUTAGE_KINDS),
    seconds: fc.constantFrom(31, 1_800, 4 * 3_600),
  }),
  body(4, {
    do: verb('pass'),
    seconds: fc.constantFrom(1, 12, 31, 56, 62, 130, 1_800, LEASE_SECONDS, TERM_SECONDS, DAY_SECONDS),
  }),
);

/** Most steps begin while others are under way: that is where races are. */
const waits = fc.nat({ max: 3 }).map((number) => number === 3);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(waits, choice, onReplica)
      .map(([waits, on, rest]) => ({ waits, on, ...rest }) as Step),
  },
  { weight: 1, arbitrary: fc.tuple(waits, inWorld).map(([waits, rest]) => ({ waits, ...rest }) as Step) },
);

const parts = fc.array(
  fc.oneof({ weight: 9, arbitrary: step.map((one) => [one]) }, { weight: 1, arbitrary: stories }),
  { minLength: 1, maxLength: MAX_PARTS, size: 'max' },
);

export const programs: fc.Arbitrary<Program> = fc.record({
  schedule: fc.nat({ max: 2 ** 30 }),
  skewsMs: fc.array(fc.integer({ min: -MAX_SKEW_MS, max: MAX_SKEW_MS }), {
    minLength: 1,
    maxLength: MAX_REPLICAS,
  }),
  pool: fc.array(name, { minLength: 1, maxLength: 4 }),
  deletes: fc.record({
    answer: fc.constantFrom('recycled', 'destroyed', 'accepted'),
    listedForSeconds: fc.constantFrom(0, 0, 20, 60, 600, LISTED_FOR_LONG_SECONDS),
  }),
  cooldownSeconds: fc.constantFrom(0, 0, 20, 1_800),
  steps: parts.map((each) => each.flat()),
  faults: fc.array(plannedFault, { maxLength: MAX_FAULTS, size: 'max' }),
});
