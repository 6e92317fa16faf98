import fc from 'fast-check';
import type { Step } from '../program.ts';
import {
  BEAT_SECONDS,
  choice,
  DAY_SECONDS,
  holder,
  SHORT_LEASE_SECONDS,
  sometimes,
  TERM_SECONDS,
} from './choices.ts';

/** A short lease's buffer, and a bit. */
const BUFFER_SECONDS = 1_800 + 11;

/** Longer than a lease may last, or not. */
const longer = fc.constantFrom(5 * 3_600, 2 * DAY_SECONDS);

const beat = (on: number, lease: number, byId: boolean, waits = false): Step => ({
  waits,
  do: 'heartbeat',
  on,
  lease,
  byId,
});

/** It rests after that, in some programs. */
const cleaned = (on: number): Step[] => [
  { waits: true, do: 'cleanup', on },
  { waits: true, do: 'pass', seconds: 31 },
  { waits: true, do: 'free_cooled', on },
];

/** Leases whose holders keep them, or fail to. */
export const keepStories: fc.Arbitrary<Step[]>[] = [
  // A holder that goes silent: it is taken for gone at one replica while it is heard of at another, by another clock.
  fc
    .tuple(choice, choice, holder, fc.constantFrom(48, 54, 57, 60, 66, 72), fc.boolean())
    .map(([on, other, holder, silence, byId]): Step[] => [
      { waits: true, do: 'allocate', on, holder, heartbeatSeconds: BEAT_SECONDS },
      { waits: true, do: 'pass', seconds: 31 },
      beat(on, 7, byId, true),
      { waits: true, do: 'pass', seconds: silence },
      beat(other, 7, byId),
      { waits: false, do: 'expire', on },
      beat(on, 7, byId),
      { waits: false, do: 'allocate', on: other, holder, heartbeatSeconds: BEAT_SECONDS },
      { waits: false, do: 'cleanup', on },
      { waits: true, do: 'allocate', on, holder: 4 },
      beat(other, 7, byId),
      beat(other, 6, byId),
    ]),
  // An extension, or a beat, that is under way while the lease is taken back, and somebody else gets the sandbox.
  fc
    .tuple(choice, choice, holder, sometimes(fc.constant(BEAT_SECONDS)), fc.boolean())
    .map(([on, other, holder, heartbeatSeconds, holdsCalls]): Step[] => [
      {
        waits: true,
        do: 'allocate',
        on: other,
        holder,
        durationSeconds: SHORT_LEASE_SECONDS,
        heartbeatSeconds,
      },
      { waits: true, do: 'pass', seconds: 50 },
      { waits: false, do: 'extend', on, lease: 7, byId: true, seconds: 3_600 },
      beat(on, 7, false),
      { waits: false, do: 'freeze', on, seconds: BUFFER_SECONDS + 60, holdsCalls },
      { waits: false, do: 'pass', seconds: BUFFER_SECONDS },
      { waits: false, do: 'expire', on: other },
      { waits: false, do: 'cleanup', on: other },
      { waits: false, do: 'allocate', on: other, holder: 4 },
      { waits: true, do: 'pass', seconds: 130 },
      { waits: false, do: 'extend', on: other, lease: 7, byId: false, seconds: 60 },
    ]),
  // An extension in time, or just too late; taken back when its own end is over, and not before.
  fc
    .tuple(choice, choice, holder, fc.constantFrom(50, 57, 60, 66), sometimes(fc.constant(2)), longer)
    .map(([on, other, holder, seconds, key, longer]): Step[] => [
      { waits: true, do: 'allocate', on, holder, key, durationSeconds: SHORT_LEASE_SECONDS },
      { waits: true, do: 'pass', seconds },
      { waits: false, do: 'extend', on: other, lease: 7, byId: true, seconds: 4 * 3_600 },
      { waits: false, do: 'extend', on, lease: 7, byId: false, seconds: longer },
      { waits: true, do: 'pass', seconds: BUFFER_SECONDS },
      { waits: false, do: 'expire', on },
      { waits: false, do: 'allocate', on: other, holder, key, durationSeconds: SHORT_LEASE_SECONDS },
      { waits: true, do: 'pass', seconds: TERM_SECONDS },
      { waits: false, do: 'expire', on: other },
      { waits: false, do: 'extend', on, lease: 7, byId: true, seconds: 3_600 },
      { waits: false, do: 'allocate', on, holder, key, durationSeconds: SHORT_LEASE_SECONDS },
    ]),
  // Beats for a lease that was ended by a hand, while the sandbox is somebody else's, or its own for a second time.
  fc
    .tuple(
      choice,
      choice,
      holder,
      fc.boolean(),
      fc.constantFrom('report', 'quarantine', 'mark'),
      fc.boolean(),
    )
    .map(([on, other, holder, isAgain, how, byId]): Step[] => [
      ...[holder, 4, 5].map((each): Step => ({ waits: true, do: 'allocate', on, holder: each })),
      ...[0, 1].flatMap((sandbox): Step[] => {
        if (how === 'quarantine') return [{ waits: false, do: how, on: other, sandbox, endsLease: true }];
        return [
          how === 'report'
            ? { waits: false, do: how, on: other, lease: 0, replaces: sandbox === 1 }
            : { waits: false, do: how, on: other, lease: 0 },
        ];
      }),
      beat(on, 0, byId),
      ...[0, 1].map((sandbox): Step => ({ waits: true, do: 'restore', on: other, sandbox })),
      ...cleaned(other),
      { waits: true, do: 'allocate', on, holder: isAgain ? holder : 6 },
      ...[0, 1, 7].map((lease) => beat(other, lease, byId)),
      { waits: false, do: 'extend', on, lease: 0, byId, seconds: 3_600 },
    ]),
  // Two together, of which one is extended beyond the other.
  fc
    .tuple(choice, choice, holder, sometimes(fc.constant(3)), sometimes(fc.constant(BEAT_SECONDS)))
    .map(([on, other, holder, key, heartbeatSeconds]): Step[] => {
      const asked = { holder, key, durationSeconds: SHORT_LEASE_SECONDS, heartbeatSeconds, count: 2 };
      return [
        { waits: true, do: 'cleanup', on },
        { waits: true, do: 'allocate_several', on, ...asked },
        { waits: true, do: 'pass', seconds: 31 },
        { waits: false, do: 'extend', on: other, lease: 7, byId: true, seconds: 3_600 },
        { waits: true, do: 'allocate_several', on: other, ...asked },
        { waits: true, do: 'pass', seconds: BUFFER_SECONDS + SHORT_LEASE_SECONDS },
        { waits: false, do: 'expire', on },
        { waits: false, do: 'allocate_several', on: other, ...asked },
        beat(on, 7, true),
        beat(on, 6, true),
        { waits: true, do: 'pass', seconds: 3_600 + BUFFER_SECONDS },
        { waits: false, do: 'expire', on: other },
        { waits: false, do: 'allocate_several', on, ...asked },
      ];
    }),
  // Served in line while it did not call; it speaks of what it had of the sandbox before.
  fc
    .tuple(choice, choice, holder, fc.boolean())
    .map(([on, other, holder, isExtended]): Step[] => [
      ...[holder, 4, 5].map((each): Step => ({ waits: true, do: 'allocate', on, holder: each })),
      { waits: true, do: 'mark', on, lease: 0 },
      { waits: true, do: 'wait', on, holder, seconds: 0, priority: 1 },
      ...cleaned(other),
      isExtended
        ? { waits: false, do: 'extend', on, lease: 0, byId: false, seconds: 8 * 3_600 }
        : beat(on, 0, false),
      { waits: true, do: 'get', on: other, lease: 0 },
      { waits: true, do: 'pass', seconds: 75 },
      { waits: false, do: 'expire', on: other },
      { waits: false, do: 'wait', on: other, holder, seconds: 0, priority: 0 },
    ]),
];
