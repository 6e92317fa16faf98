import fc from 'fast-check';
import { OUTAGE_KINDS } from './far-side.ts';
import type { Program, ReplicaStep, Step, WorldStep } from './program.ts';
import { plannedFault } from './random-faults.ts';

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
/** A lease without its buffer, and a bit. */
const LEASE_SECONDS = 4 * 3_600 + 60;
/** A lease with its buffer, and the most that two clocks can be apart. */
const TERM_SECONDS = 4.5 * 3_600 + 11;
const DAY_SECONDS = 25 * 3_600;
/** So long that it is deleted again. */
const LISTED_FOR_LONG_SECONDS = 5_000;

const choice = fc.nat({ max: 7 });
const name = fc.constantFrom('a1', 'a2', 'b1');
const holder = fc.nat({ max: 3 });
const rarely = fc.nat({ max: 7 }).map((number) => number === 7);
const sometimes = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

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
    prefix: sometimes(fc.constantFrom('a', 'b', 'a2', 'z')),
  }),
  body(3, {
    do: verb('allocate_several'),
    holder,
    key: sometimes(fc.nat({ max: 1 })),
    count: fc.constantFrom(2, 2, 3),
  }),
  body(1, { do: verb('mark_all'), lease: choice }),
  body(12, {
    do: verb('wait'),
    holder,
    key: sometimes(fc.nat({ max: 1 })),
    prefix: sometimes(fc.constantFrom('a', 'b', 'a2', 'z')),
    seconds: fc.constantFrom(0, 3, 30),
    priority: fc.constantFrom(0, 0, 0, 1),
  }),
  body(1, { do: verb('leave'), place: choice }),
  body(2, { do: verb('tend_line') }),
  body(10, { do: verb('mark'), lease: choice, byOther: rarely }),
  body(1, { do: verb('get'), lease: choice }),
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
    seconds: fc.constantFrom(1, 12, 31, 62, 130, 1_800, LEASE_SECONDS, TERM_SECONDS, DAY_SECONDS),
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

const leaseSeconds = fc.constantFrom(LEASE_SECONDS, TERM_SECONDS);

/** What it takes several steps in a row to come to. */
const story: fc.Arbitrary<Step[]> = fc.oneof(
  // A lease that ran out while nobody looked, under a key that is used again; or that has its buffer left.
  fc.tuple(holder, choice, choice, leaseSeconds).map(([holder, on, other, seconds]): Step[] => [
    { waits: false, do: 'allocate', on, holder },
    { waits: true, do: 'pass', seconds },
    { waits: false, do: 'allocate', on: other, holder },
    { waits: false, do: 'expire', on },
  ]),
  // A duplicate that is late: its caller's own key, and the lease is over.
  fc
    .tuple(holder, choice, choice, fc.constantFrom(1, TERM_SECONDS, DAY_SECONDS))
    .map(([holder, on, other, seconds]): Step[] => [
      { waits: true, do: 'allocate', on, holder, key: 2 },
      { waits: false, do: 'mark', on: other, lease: 7 },
      { waits: false, do: 'pass', seconds },
      { waits: false, do: 'allocate', on: other, holder, key: 2 },
    ]),
  // A crowd at one replica, and one of them at another, too.
  fc
    .tuple(choice, choice, holder)
    .map(([on, other, holder]): Step[] => [
      ...[0, 1, 2, 3].map((each): Step => ({ waits: false, do: 'allocate', on, holder: each })),
      { waits: false, do: 'allocate', on: other, holder },
    ]),
  // A line, and what is given back beside it: some of it to callers who call no more.
  fc
    .tuple(choice, choice, fc.constantFrom(0, 30), fc.constantFrom(1, 31, 62, 130))
    .map(([on, other, seconds, silence]): Step[] => [
      ...[0, 1, 2, 3].map(
        (holder): Step => ({ waits: true, do: 'wait', on, holder, seconds: 0, priority: 0 }),
      ),
      { waits: false, do: 'wait', on: other, holder: 4, seconds, priority: 0 },
      { waits: false, do: 'mark', on, lease: 7 },
      { waits: true, do: 'pass', seconds: silence },
      { waits: false, do: 'cleanup', on: other },
      { waits: false, do: 'mark', on: other, lease: 6 },
      { waits: false, do: 'cleanup', on },
      { waits: false, do: 'wait', on, holder: 4, seconds: 3, priority: 0 },
      { waits: true, do: 'pass', seconds: 75 },
      { waits: false, do: 'expire', on },
      { waits: false, do: 'wait', on: other, holder: 3, seconds: 0, priority: 0 },
    ]),
  // A cleaner that stands still, and another that takes over.
  fc.tuple(choice, choice, fc.boolean()).map(([on, other, holdsCalls]): Step[] => [
    { waits: false, do: 'mark', on, lease: 7 },
    { waits: true, do: 'cleanup', on },
    { waits: false, do: 'freeze', on, seconds: 100, holdsCalls },
    { waits: false, do: 'pass', seconds: 62 },
    { waits: false, do: 'cleanup', on: other },
  ]),
  // A machine whose clock is hours off for a while, by which a lease is over, or not even begun.
  fc.tuple(choice, choice, holder, fc.constantFrom(5, -5)).map(([on, other, holder, hours]): Step[] => [
    { waits: false, do: 'allocate', on: other, holder },
    { waits: true, do: 'pass', seconds: hours < 0 ? TERM_SECONDS : 12 },
    { waits: false, do: 'set_clock', on, hours },
    { waits: false, do: 'expire', on },
    { waits: false, do: 'allocate', on, holder },
    { waits: false, do: 'cleanup', on },
    { waits: true, do: 'set_clock', on, hours: 0 },
    { waits: false, do: 'allocate', on: other, holder },
  ]),
  // A description that changes while the sandbox is given back.
  fc.tuple(choice, choice, name).map(([on, other, name]): Step[] => [
    { waits: false, do: 'rename', sandbox: 0, name },
    { waits: true, do: 'rename', sandbox: 1, name },
    { waits: false, do: 'sync', on, force: false },
    { waits: false, do: 'mark', on: other, lease: 6 },
    { waits: false, do: 'mark', on, lease: 7 },
  ]),
  // Reported as broken, twice, in different places; the one that comes instead is given back, and it is reported again.
  fc.tuple(choice, choice, holder, sometimes(fc.constant(2))).map(([on, other, holder, key]): Step[] => [
    { waits: true, do: 'allocate', on, holder, key },
    { waits: false, do: 'report', on, lease: 7, replaces: true },
    { waits: false, do: 'report', on: other, lease: 7, replaces: true },
    { waits: false, do: 'wait', on, holder, key, seconds: 0, priority: 0 },
    { waits: true, do: 'cleanup', on: other },
    { waits: true, do: 'mark', on, lease: 6 },
    { waits: false, do: 'report', on, lease: 7, replaces: true },
    { waits: false, do: 'restore', on: other, sandbox: 0 },
  ]),
  // Two together, of which one is given back; asked for again, and given back with the rest, by two at once.
  fc
    .tuple(choice, choice, holder, sometimes(fc.constant(3)), leaseSeconds)
    .map(([on, other, holder, key, seconds]): Step[] => [
      { waits: true, do: 'cleanup', on },
      { waits: false, do: 'allocate_several', on, holder, key, count: 2 },
      { waits: false, do: 'allocate_several', on: other, holder, key, count: 2 },
      { waits: true, do: 'mark', on, lease: 7 },
      { waits: false, do: 'allocate_several', on: other, holder, key, count: 2 },
      { waits: false, do: 'mark_all', on, lease: 7 },
      { waits: false, do: 'cleanup', on: other },
      { waits: false, do: 'allocate_several', on, holder, key, count: 2 },
      { waits: true, do: 'pass', seconds },
      { waits: false, do: 'expire', on: other },
      { waits: false, do: 'allocate_several', on, holder, key, count: 2 },
    ]),
  // Kept out of the pool while it is leased, given back, asked for, and restored.
  fc
    .tuple(choice, choice, holder, fc.boolean())
    .map(([on, other, holder, endsLease]): Step[] => [
      { waits: true, do: 'allocate', on, holder },
      ...[0, 1].map((sandbox): Step => ({ waits: false, do: 'quarantine', on: other, sandbox, endsLease })),
      { waits: false, do: 'mark', on, lease: 7 },
      { waits: true, do: 'cleanup', on: other },
      { waits: false, do: 'sync', on, force: true },
      ...[0, 1].map((each): Step => ({ waits: false, do: 'allocate', on, holder: each })),
      { waits: false, do: 'restore', on: other, sandbox: 0 },
      { waits: false, do: 'cleanup', on },
    ]),
  // Gone from the inventory, and back again.
  fc.tuple(choice, choice).map(([on, sandbox]): Step[] => [
    { waits: true, do: 'pass', seconds: 12 },
    { waits: false, do: 'remove', sandbox },
    { waits: true, do: 'sync', on, force: true },
    { waits: false, do: 'bring_back' },
    { waits: false, do: 'sync', on, force: true },
  ]),
  // Deleted, and listed for a while: somebody asks for it between two looks at what is listed.
  fc.tuple(choice, choice, choice, holder).map(([on, other, lease, holder]): Step[] => [
    { waits: false, do: 'mark', on, lease },
    { waits: true, do: 'cleanup', on },
    { waits: true, do: 'pass', seconds: 12 },
    { waits: false, do: 'sync', on: other, force: false },
    { waits: false, do: 'allocate', on, holder },
    { waits: true, do: 'pass', seconds: 31 },
    { waits: true, do: 'cleanup', on: other },
    { waits: false, do: 'sync', on, force: true },
    { waits: false, do: 'bring_back' },
    { waits: true, do: 'pass', seconds: 12 },
    { waits: false, do: 'sync', on: other, force: true },
    { waits: false, do: 'allocate', on: other, holder },
  ]),
  // A deletion that is tried again and again.
  fc.tuple(choice, choice).map(([on, lease]): Step[] => [
    { waits: false, do: 'mark', on, lease },
    { waits: true, do: 'cleanup', on },
    { waits: true, do: 'pass', seconds: 130 },
    { waits: false, do: 'cleanup', on },
    { waits: true, do: 'pass', seconds: 1_800 },
    { waits: false, do: 'cleanup', on },
  ]),
);

const parts = fc.array(
  fc.oneof({ weight: 9, arbitrary: step.map((one) => [one]) }, { weight: 1, arbitrary: story }),
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
