import fc from 'fast-check';
import type { Step } from '../program.ts';
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
import { keepStories } from './keep-stories.ts';

const leaseSeconds = fc.constantFrom(LEASE_SECONDS, TERM_SECONDS);

const terms = fc.record(leaseTerms);

/** What it takes several steps in a row to come to. */
export const stories: fc.Arbitrary<Step[]> = fc.oneof(
  ...keepStories,
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
  fc
    .tuple(choice, choice, holder, sometimes(fc.constant(2)), terms)
    .map(([on, other, holder, key, asked]): Step[] => [
      { waits: true, do: 'allocate', on, holder, key, ...asked },
      { waits: false, do: 'report', on, lease: 7, replaces: true },
      { waits: false, do: 'report', on: other, lease: 7, replaces: true },
      { waits: false, do: 'wait', on, holder, key, ...asked, seconds: 0, priority: 0 },
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
