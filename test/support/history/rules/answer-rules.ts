import {
  type AllocateCall,
  type Call,
  type History,
  isChosen,
  keyOf,
  type MarkAllCall,
  type MarkCall,
  type ReportCall,
  type ToldLease,
  toldIn,
  type Violation,
} from '../history.ts';
import { isByPlace, type LeaseEnds } from '../lease-ends.ts';
import { type FoundLease, mayTouch, type Step, type Timeline, toldOf } from '../timeline.ts';
import { told } from './chain-rules.ts';
import { checkKeys, mayFollow } from './key-rules.ts';

/** What clients were told, held against what the history says. */
export function checkAnswers(timeline: Timeline, history: History, ends: LeaseEnds): Violation[] {
  const judged: Judged = { timeline, history, ends };
  const allocated = new Map<string, FoundLease[]>();
  for (const lease of timeline.leases) {
    const { call } = lease.granted;
    if (call) allocated.set(call.id, [...(allocated.get(call.id) ?? []), lease]);
  }
  return [
    ...history.calls.flatMap((call) => {
      switch (call.op) {
        case 'allocate':
          return checkAllocation(call, allocated.get(call.id) ?? [], judged);
        case 'mark':
          return [...checkMark(call, timeline), ...checkDenial(call, judged)];
        case 'mark_all':
          return checkMarkAll(call, judged);
        case 'report':
          return [...checkReport(call, allocated.get(call.id) ?? [], timeline), ...checkDenial(call, judged)];
        case 'get':
          return [...checkShown(call, timeline), ...checkDenial(call, judged)];
        default:
          return [];
      }
    }),
    ...checkKeys(timeline, ends),
  ];
}

interface Judged {
  timeline: Timeline;
  history: History;
  ends: LeaseEnds;
}

function checkAllocation(call: AllocateCall, leases: readonly FoundLease[], judged: Judged): Violation[] {
  const { outcome } = call;
  return [
    ...checkGranted(call, leases),
    ...(outcome.type === 'none_free' ? checkRefusal(call, judged) : []),
    ...toldIn(call).flatMap((lease) => checkTold(call, lease, leases, judged)),
  ];
}

/** What the call had leased: one sandbox, or as many as it asked for. */
function checkGranted(call: AllocateCall, leases: readonly FoundLease[]): Violation[] {
  const got = `${asked(call)} got ${leases.map(({ granted }) => told(granted)).join(' and ')}`;
  // Its answer lost, a call asks again: by then an operator may have ended what it had got, and it gets another; but not
  // under a key that is remembered.
  const isSplit = leases.some((one, index) =>
    leases
      .slice(index + 1)
      .some(
        (other) =>
          !isTogether(one, other) && (isChosen(call) || (!mayFollow(one, other) && !mayFollow(other, one))),
      ),
  );
  const { count = 1, outcome } = call;
  const isPart =
    leases.length % count !== 0 || (outcome.type === 'leased_several' && outcome.leases.length !== count);
  return [
    ...(isSplit ? [{ rule: 'split_key' as const, message: got }] : []),
    ...(isPart ? [{ rule: 'partial_grant' as const, message: `${got}, for ${count}` }] : []),
  ];
}

/** Leased in one transaction, to a call that asked for several. */
const isTogether = (one: FoundLease, other: FoundLease): boolean => {
  const { call, event } = one.granted;
  const isForSeveral = call?.op === 'allocate' && call.count !== undefined;
  return isForSeveral && call === other.granted.call && event.atMs === other.granted.event.atMs;
};

/** A lease that an allocation was told of. */
function checkTold(
  call: AllocateCall,
  { sandboxId, leaseId, leaseOver }: ToldLease,
  leases: readonly FoundLease[],
  { timeline, history, ends }: Judged,
): Violation[] {
  const { outcome } = call;
  const candidates = toldOf(timeline.leases, call, { sandboxId, leaseId });
  const violations: Violation[] = [];
  const lost = (message: string) =>
    violations.push({ rule: 'lost_lease', message: `${asked(call)} was told ${message}` });
  if ('replayed' in outcome && !outcome.replayed) {
    const isKnown = candidates.some(isByPlace) || leases.some((lease) => lease.sandboxId === sandboxId);
    if (!isKnown) lost(`of a new lease of ${sandboxId} that no event knows`);
  } else if (leaseOver) {
    const isKnown = candidates.some((lease) => mayBeOver(lease, call, { history, ends }));
    // Of several leases some may be over, and the key itself not.
    const isToBeTold = isChosen(call) || toldIn(call).some((lease) => !lease.leaseOver);
    if (!isKnown || !isToBeTold) lost(`that its lease of ${sandboxId} is over, and it was not`);
  } else if (!candidates.some((lease) => mayTouch(lease, call))) {
    lost(`again of a lease of ${sandboxId} that was not live at any moment of it`);
  }
  if (leaseOver) return violations;
  const touched = candidates.filter((lease) => mayTouch(lease, call));
  const isPassedOn = touched.every(({ ended }) => ended?.event.action === 'pass_on');
  if (touched.length > 0 && isPassedOn) lost(`of its lease of ${sandboxId}, which went on to the next`);
  return violations;
}

/** Over at some moment of the call: ended, or past its time. */
const mayBeOver = (lease: FoundLease, call: Call, judged: ByTime): boolean =>
  (lease.ended !== undefined && lease.ended.earliestMs <= call.endMs) || mayBeOverdue(lease, call, judged);

/** "None is free": not as many sandboxes were available all along as it asked for, and the key had no lease. */
function checkRefusal(call: AllocateCall, { timeline, history, ends }: Judged): Violation[] {
  const { chains, leases } = timeline;
  const violations: Violation[] = [];
  const free = freeThrough(call, chains, history);
  const { count = 1 } = call;
  if (free.length >= count) {
    const message = `${asked(call)} was told that ${count === 1 ? 'none is' : 'too few are'} free; ${free.join(' and ')}`;
    violations.push({ rule: 'false_refusal', message });
  }
  for (const lease of leases) {
    const ended = lease.isRemembered ? undefined : lease.ended;
    if (lease.key !== keyOf(call) || !spansCall(lease.granted, ended, call)) continue;
    if (mayBeForgotten(lease, call, { history, ends })) continue;
    const message = `${asked(call)} was told that none is free; its key had ${told(lease.granted)}`;
    violations.push({ rule: 'lost_lease', message });
  }
  return violations;
}

/** The sandboxes that were free all through the call, and fit it, in words. */
function freeThrough(call: AllocateCall, chains: Timeline['chains'], history: History): string[] {
  const records = new Map(history.sandboxes.map((sandbox) => [sandbox.id, sandbox]));
  return [...chains].flatMap(([sandboxId, steps]) =>
    steps.flatMap((step, index) => {
      const next = steps[index + 1];
      if (step.event.to !== 'available' || !spansCall(step, next, call)) return [];
      if (call.namePrefix !== undefined) {
        const record = records.get(sandboxId);
        // A write without an event may have been another name.
        const writes = (next?.event.generation ?? (record?.generation ?? 0) + 1) - step.event.generation;
        if (writes > 1 || !record?.name.startsWith(call.namePrefix)) return [];
      }
      return [`${sandboxId} was, from ${told(step)} to ${next ? told(next) : 'the end'}`];
    }),
  );
}

/** From certainly before the call's start until certainly after its end. */
export const spansCall = (from: Step, to: Step | undefined, { startMs, endMs }: Call): boolean =>
  from.latestMs < startMs && endMs < (to?.earliestMs ?? Infinity);

type ByTime = Pick<Judged, 'history' | 'ends'>;

/** A key is free again once its lease is overdue, whether or not somebody has taken the sandbox back by then. */
const mayBeOverdue = (lease: FoundLease, { startMs, endMs }: Call, { history, ends }: ByTime): boolean =>
  history.clockSkewMs === undefined || endMs + history.clockSkewMs >= ends.reclaimMs(lease, startMs);

/** By then its key may be free for another lease. */
const mayBeForgotten = (lease: FoundLease, call: Call, { history, ends }: ByTime): boolean => {
  const { clockSkewMs } = history;
  if (!lease.isRemembered || clockSkewMs === undefined) return mayBeOverdue(lease, call, { history, ends });
  return call.endMs + clockSkewMs >= ends.rememberedMs(lease, call.startMs);
};

/** A report ends the lease, as a mark does; what it tells of instead is its key's, and it got no more than that. */
function checkReport(call: ReportCall, leases: readonly FoundLease[], timeline: Timeline): Violation[] {
  const violations: Violation[] = [];
  const reports = (timeline.chains.get(call.sandboxId) ?? []).filter(
    (step) => step.call === call && step.event.action === 'report',
  );
  if (leases.length > reports.length) {
    const message = `${asked(call)} ended ${reports.length} leases, and got ${leases.map(({ granted }) => told(granted)).join(' and ')}`;
    violations.push({ rule: 'split_key', message });
  }
  const { outcome } = call;
  if (outcome.type !== 'reported') return violations;
  const { replacement } = outcome;
  if (replacement !== undefined) {
    const isKnown = timeline.leases.some(
      (lease) =>
        lease.sandboxId === replacement.sandboxId && lease.key === keyOf(call) && mayTouch(lease, call),
    );
    const message = `${asked(call)} was told of ${replacement.sandboxId} instead, which its key had at no moment of it`;
    if (!isKnown) violations.push({ rule: 'lost_lease', message });
  }
  return [...violations, ...checkReturn(call, timeline)];
}

/** A call that ends a holder's lease of a sandbox. */
type ReturnCall = MarkCall | ReportCall | (MarkAllCall & Pick<MarkCall, 'sandboxId'>);

/** Acknowledged: the holder's lease was over by then. */
const checkMark = (call: MarkCall, timeline: Timeline): Violation[] =>
  call.outcome.type === 'done' ? checkReturn(call, timeline) : [];

/** Acknowledged: each that it tells of was over by then, and so was all that its key had; refused: it had nothing. */
function checkMarkAll(call: MarkAllCall, { timeline, history, ends }: Judged): Violation[] {
  const { outcome } = call;
  if (outcome.type === 'unknown') return [];
  const kept = timeline.leases.find(
    (lease) =>
      lease.key === keyOf(call) &&
      spansCall(lease.granted, lease.ended, call) &&
      !mayBeOverdue(lease, call, { history, ends }),
  );
  if (outcome.type === 'refused') {
    const message = `${asked(call)} was refused with ${outcome.code}; it had ${kept && told(kept.granted)}`;
    return kept && outcome.code === 'SANDBOX_NOT_FOUND' ? [{ rule: 'lost_lease', message }] : [];
  }
  const message = `${asked(call)} was acknowledged, and ${kept && told(kept.granted)} went on`;
  if (kept) return [{ rule: 'lost_mark', message }];
  return outcome.sandboxIds.flatMap((sandboxId) => checkReturn({ ...call, sandboxId }, timeline));
}

function checkReturn(call: ReturnCall, { leases }: Timeline): Violation[] {
  const own = leases.filter(
    ({ sandboxId, holder }) => sandboxId === call.sandboxId && holder === call.holder,
  );
  const lost = own.find(({ granted, ended }) => spansCall(granted, ended, call));
  if (lost) {
    return [
      { rule: 'lost_mark', message: `${asked(call)} was acknowledged, and ${told(lost.granted)} went on` },
    ];
  }
  if (own.some(({ ended }) => ended !== undefined && ended.earliestMs <= call.endMs)) return [];
  return [
    { rule: 'lost_mark', message: `${asked(call)} was acknowledged, and no lease of it has ended by then` },
  ];
}

/** A holder is never told that what it holds is not its own; what it was not told of yet, only once it was. */
function checkDenial(
  call: Extract<Call, { op: 'mark' | 'get' | 'report' }>,
  { timeline: { leases }, ends }: Judged,
): Violation[] {
  const { outcome, sandboxId, holder } = call;
  if (outcome.type !== 'refused') return [];
  // A lease whose time is over is so before anybody takes it back.
  if (call.op === 'report' && outcome.code !== 'NOT_SANDBOX_OWNER') return [];
  return leases
    .filter((lease) => lease.sandboxId === sandboxId && lease.holder === holder)
    .filter((lease) => spansCall(lease.granted, lease.ended, call))
    .filter((lease) => call.op !== 'get' || !ends.mayBeUntold(lease, call.startMs))
    .map((lease) => ({
      rule: 'lost_lease',
      message: `${asked(call)} was refused with ${outcome.code}; it had ${told(lease.granted)}`,
    }));
}

/**
 * Shown as leased to it: there was such a lease at some moment of the call, and it did not go on to the next; shown
 * otherwise: not all along.
 */
function checkShown(call: Extract<Call, { op: 'get' }>, { leases }: Timeline): Violation[] {
  if (call.outcome.type !== 'shown') return [];
  const own = leases.filter(
    ({ sandboxId, holder }) => sandboxId === call.sandboxId && holder === call.holder,
  );
  const { status } = call.outcome;
  const isRight =
    status === 'allocated'
      ? own.some((lease) => mayTouch(lease, call) && lease.ended?.event.action !== 'pass_on')
      : !own.some(({ granted, ended }) => spansCall(granted, ended, call));
  return isRight ? [] : [{ rule: 'lost_lease', message: `${asked(call)} was shown ${status}` }];
}

/** A call, for a message. */
export const asked = (call: Call): string =>
  `call ${call.id} (${call.op}${'holder' in call ? ` of ${call.holder}` : ''}, ${call.startMs} to ${call.endMs})`;
