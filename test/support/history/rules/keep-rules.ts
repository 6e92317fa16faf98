import type { Call, History, KeepCall, ToldLease, Violation } from '../history.ts';
import { toldIn } from '../history.ts';
import { begunMs, extendedToMs, type LeaseEnds } from '../lease-ends.ts';
import { type FoundLease, mayTouch, type Timeline } from '../timeline.ts';
import { asked, spansCall } from './answer-rules.ts';
import { told } from './chain-rules.ts';

/** A lease goes on as it was asked for and as its holder was told, and none that is over is revived. */
export function checkKept(timeline: Timeline, history: History, ends: LeaseEnds): Violation[] {
  const { leases } = timeline;
  return [
    ...leases.flatMap((lease) => checkExtensions(lease, ends)),
    ...history.calls.filter(isKeep).flatMap((call) => {
      const { outcome } = call;
      if (outcome.type === 'kept') return checkAnswer(call, outcome, leases, history, ends);
      return outcome.type === 'refused' ? checkDenial(call, outcome.code, leases, history, ends) : [];
    }),
    ...history.calls.flatMap((call) =>
      toldIn(call).flatMap((lease) => checkToldEnd(call, lease, leases, ends)),
    ),
  ];
}

const isKeep = (call: Call): call is KeepCall => call.op === 'extend' || call.op === 'heartbeat';

/** By the clock of whoever has extended it, it was running, and lasts as long from then on as it was asked for. */
function checkExtensions(lease: FoundLease, ends: LeaseEnds): Violation[] {
  return lease.extensions.flatMap((step, index): Violation[] => {
    const { event, call } = step;
    const before = { ...lease, extensions: lease.extensions.slice(0, index) };
    const untilMs = ends.endMs(before);
    const silentMs = ends.silentByMs(before, step.latestMs, call);
    if (event.leaseId !== lease.leaseId || event.atMs >= Math.min(untilMs, silentMs)) {
      const message = `${told(step)} came at ${event.atMs} to ${told(lease.granted)}, which was over at ${Math.min(untilMs, silentMs)}`;
      return [{ rule: 'revived_lease', message }];
    }
    const askedMs = call?.op === 'extend' ? (call.durationSeconds ?? 0) * 1000 : 0;
    const dueMs = Math.min(Math.floor(event.atMs / 1000) * 1000 + askedMs, ends.latestEndMs(lease));
    if (extendedToMs(step) === dueMs && dueMs > untilMs) return [];
    const message = `${told(step)} moves the end from ${untilMs} to ${extendedToMs(step)}; it was to be ${dueMs}`;
    return [{ rule: 'wrong_end', message }];
  });
}

/** Told that its lease goes on: so it did, at some moment of the call, and it was the one that was meant. */
function checkAnswer(
  call: KeepCall,
  kept: ToldLease,
  leases: readonly FoundLease[],
  { clockSkewMs = Infinity }: History,
  ends: LeaseEnds,
): Violation[] {
  const lease = leases.find(
    ({ leaseId, sandboxId, holder }) =>
      leaseId === kept.leaseId && sandboxId === call.sandboxId && holder === call.holder,
  );
  if (lease === undefined) {
    return [{ rule: 'lost_lease', message: `${asked(call)} was told of a lease that no event knows` }];
  }
  const broken = (rule: Violation['rule'], what: string): Violation[] => [
    { rule, message: `${asked(call)} was told that ${told(lease.granted)} goes on; ${what}` },
  ];
  if ((call.leaseId ?? lease.leaseId) !== lease.leaseId) return broken('revived_lease', 'it meant another');
  if (!mayTouch(lease, call)) return broken('revived_lease', 'it was over before the call');
  if (lease.ended?.event.action === 'pass_on') return broken('lost_lease', 'it went on to the next');
  const others = lease.extensions.filter((each) => each.call !== call && each.earliestMs <= call.endMs);
  const overMs = Math.min(
    ends.endMs({ ...lease, extensions: others }),
    ends.silentByMs(lease, call.endMs, call),
  );
  if (call.startMs - clockSkewMs >= overMs) return broken('revived_lease', `its time was over at ${overMs}`);
  if (call.op !== 'extend' || call.durationSeconds === undefined || kept.expiresAt === undefined) return [];
  const from = Math.floor((call.startMs - clockSkewMs) / 1000) * 1000;
  const dueMs = Math.min(from + call.durationSeconds * 1000, ends.latestEndMs(lease));
  return kept.expiresAt * 1000 >= dueMs ? [] : broken('wrong_end', `it was to do so until ${dueMs}`);
}

/** A holder that was told of its lease is not told that it has none while that is running. */
function checkDenial(
  call: KeepCall,
  code: string,
  leases: readonly FoundLease[],
  { clockSkewMs = Infinity }: History,
  ends: LeaseEnds,
): Violation[] {
  const isRunning = (lease: FoundLease) =>
    call.endMs + clockSkewMs <
    Math.min(ends.endMs(lease, call.startMs), ends.silentFromMs(lease, call.startMs));
  return leases
    .filter(({ sandboxId, holder }) => sandboxId === call.sandboxId && holder === call.holder)
    .filter(({ leaseId }) => (call.leaseId ?? leaseId) === leaseId)
    .filter((lease) => spansCall(lease.granted, lease.ended, call) && isRunning(lease))
    .filter((lease) => !ends.mayBeUntold(lease, call.startMs))
    .map(({ granted }) => ({
      rule: 'lost_lease',
      message: `${asked(call)} was refused with ${code}; it had ${told(granted)}`,
    }));
}

/** The end that was told is the one that the lease had, at some moment of the call. */
function checkToldEnd(
  call: Call,
  { sandboxId, leaseId, leaseOver, expiresAt }: ToldLease,
  leases: readonly FoundLease[],
  ends: LeaseEnds,
): Violation[] {
  const lease = leases.find((each) => each.leaseId === leaseId && each.sandboxId === sandboxId);
  if (lease === undefined || expiresAt === undefined || leaseOver) return [];
  const possible = lease.extensions.filter(({ earliestMs }) => earliestMs <= call.endMs);
  const fromMs = ends.endMs(lease, call.startMs);
  const toMs = ends.endMs({ ...lease, extensions: possible });
  if (expiresAt * 1000 >= fromMs && expiresAt * 1000 <= toMs) return [];
  const message = `${asked(call)} was told that ${told(lease.granted)}, begun at ${begunMs(lease)}, ends at ${expiresAt}; it did so between ${fromMs} and ${toMs}`;
  return [{ rule: 'wrong_end', message }];
}
