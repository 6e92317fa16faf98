import {
  type AllocateCall,
  type Call,
  type History,
  isChosen,
  keyOf,
  type MarkCall,
  type ReportCall,
  type Violation,
} from '../history.ts';
import { type FoundLease, mayTouch, type Step, type Timeline, toldOf } from '../timeline.ts';
import { reclaimMs, rememberedMs, told } from './chain-rules.ts';

/** What clients were told, held against what the history says. */
export function checkAnswers(timeline: Timeline, history: History): Violation[] {
  const allocated = new Map<string, FoundLease[]>();
  for (const lease of timeline.leases) {
    const { call } = lease.granted;
    if (call) allocated.set(call.id, [...(allocated.get(call.id) ?? []), lease]);
  }
  return [
    ...history.calls.flatMap((call) => {
      switch (call.op) {
        case 'allocate':
          return checkAllocation(call, allocated.get(call.id) ?? [], timeline, history);
        case 'mark':
          return [...checkMark(call, timeline), ...checkDenial(call, timeline)];
        case 'report':
          return [
            ...checkReport(call, allocated.get(call.id) ?? [], timeline),
            ...checkDenial(call, timeline),
          ];
        case 'get':
          return [...checkShown(call, timeline), ...checkDenial(call, timeline)];
        default:
          return [];
      }
    }),
    ...checkKeys(timeline, history.termMs),
  ];
}

function checkAllocation(
  call: AllocateCall,
  leases: readonly FoundLease[],
  timeline: Timeline,
  history: History,
): Violation[] {
  const violations: Violation[] = [];
  const granted = leases.map((lease) => lease.granted);
  // Its answer lost, a call asks again: by then an operator may have ended what it had got, and it gets another; but not
  // under a key that is remembered.
  const isSplit = leases.some((one, index) =>
    leases
      .slice(index + 1)
      .some((other) => isChosen(call) || (!mayFollow(one, other) && !mayFollow(other, one))),
  );
  if (isSplit) {
    violations.push({
      rule: 'split_key',
      message: `${asked(call)} got ${granted.map(told).join(' and ')}`,
    });
  }
  const { outcome } = call;
  if (outcome.type === 'none_free') {
    violations.push(...checkRefusal(call, timeline, history));
  } else if (outcome.type === 'leased' && !outcome.replayed) {
    // The event of a lease by a place in the line names the call that joined; any call of its key collects it.
    const isByPlace = toldOf(timeline.leases, call).some(
      ({ granted: { call: by } }) =>
        by?.op === 'report' || (by?.op === 'allocate' && by.waitSeconds !== undefined),
    );
    const isKnown = isByPlace || granted.some(({ event }) => event.sandboxId === outcome.sandboxId);
    const message = `${asked(call)} was told of a new lease of ${outcome.sandboxId} that no event knows`;
    if (!isKnown) violations.push({ rule: 'lost_lease', message });
  } else if (outcome.type === 'leased' && outcome.leaseOver) {
    const isKnown = toldOf(timeline.leases, call).some((lease) => mayBeOver(lease, call, history));
    const message = `${asked(call)} was told that its lease of ${outcome.sandboxId} is over, and it was not`;
    if (!isKnown || !isChosen(call)) violations.push({ rule: 'lost_lease', message });
  } else if (outcome.type === 'leased') {
    const isKnown = toldOf(timeline.leases, call).some((lease) => mayTouch(lease, call));
    const message = `${asked(call)} was told again of a lease of ${outcome.sandboxId} that was not live at any moment of it`;
    if (!isKnown) violations.push({ rule: 'lost_lease', message });
  }
  if (outcome.type === 'leased' && !outcome.leaseOver) {
    const candidates = toldOf(timeline.leases, call).filter((lease) => mayTouch(lease, call));
    const isPassedOn = candidates.every(({ ended }) => ended?.event.action === 'pass_on');
    const message = `${asked(call)} was told of its lease of ${outcome.sandboxId}, which went on to the next`;
    if (candidates.length > 0 && isPassedOn) violations.push({ rule: 'lost_lease', message });
  }
  return violations;
}

/** May the one have ended before the other began? */
const mayFollow = ({ ended }: FoundLease, { granted }: FoundLease): boolean =>
  ended !== undefined && ended.earliestMs <= granted.latestMs;

/** Over at some moment of the call: ended, or past its time. */
const mayBeOver = (lease: FoundLease, call: Call, history: History): boolean =>
  (lease.ended !== undefined && lease.ended.earliestMs <= call.endMs) || mayBeOverdue(lease, call, history);

/** "None is free": no sandbox was available all along, and the key had no lease. */
function checkRefusal(call: AllocateCall, { chains, leases }: Timeline, history: History): Violation[] {
  const violations: Violation[] = [];
  const names = new Map(history.sandboxes.map((sandbox) => [sandbox.id, sandbox]));
  for (const [sandboxId, steps] of chains) {
    for (const [index, step] of steps.entries()) {
      const next = steps[index + 1];
      if (step.event.to !== 'available' || !spansCall(step, next, call)) continue;
      if (call.namePrefix !== undefined) {
        const record = names.get(sandboxId);
        // A write without an event may have been another name.
        const writes = (next?.event.generation ?? (record?.generation ?? 0) + 1) - step.event.generation;
        if (writes > 1 || !record?.name.startsWith(call.namePrefix)) continue;
      }
      violations.push({
        rule: 'false_refusal',
        message: `${asked(call)} was told that none is free; ${sandboxId} was, from ${told(step)} to ${next ? told(next) : 'the end'}`,
      });
    }
  }
  for (const lease of leases) {
    const ended = lease.isRemembered ? undefined : lease.ended;
    if (lease.key !== keyOf(call) || !spansCall(lease.granted, ended, call)) continue;
    if (mayBeForgotten(lease, call, history)) continue;
    const message = `${asked(call)} was told that none is free; its key had ${told(lease.granted)}`;
    violations.push({ rule: 'lost_lease', message });
  }
  return violations;
}

/** From certainly before the call's start until certainly after its end. */
const spansCall = (from: Step, to: Step | undefined, { startMs, endMs }: Call): boolean =>
  from.latestMs < startMs && endMs < (to?.earliestMs ?? Infinity);

/** A key is free again once its lease is overdue, whether or not somebody has taken the sandbox back by then. */
const mayBeOverdue = ({ granted }: FoundLease, { endMs }: Call, { termMs, clockSkewMs }: History): boolean =>
  clockSkewMs === undefined || endMs + clockSkewMs >= reclaimMs(granted, termMs);

/** By then its key may be free for another lease. */
const mayBeForgotten = (lease: FoundLease, call: Call, history: History): boolean => {
  const { termMs, clockSkewMs } = history;
  if (!lease.isRemembered || clockSkewMs === undefined) return mayBeOverdue(lease, call, history);
  return call.endMs + clockSkewMs >= rememberedMs(lease.granted, termMs);
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
  if (outcome.replacementId !== undefined) {
    const isKnown = timeline.leases.some(
      (lease) =>
        lease.sandboxId === outcome.replacementId && lease.key === keyOf(call) && mayTouch(lease, call),
    );
    const message = `${asked(call)} was told of ${outcome.replacementId} instead, which its key had at no moment of it`;
    if (!isKnown) violations.push({ rule: 'lost_lease', message });
  }
  return [...violations, ...checkReturn(call, timeline)];
}

/** Acknowledged: the holder's lease was over by then. */
const checkMark = (call: MarkCall, timeline: Timeline): Violation[] =>
  call.outcome.type === 'done' ? checkReturn(call, timeline) : [];

function checkReturn(call: MarkCall | ReportCall, { leases }: Timeline): Violation[] {
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

/** A holder is never told that what it holds is not its own. */
function checkDenial(
  call: Extract<Call, { op: 'mark' | 'get' | 'report' }>,
  { leases }: Timeline,
): Violation[] {
  const { outcome, sandboxId, holder } = call;
  if (outcome.type !== 'refused') return [];
  // A lease whose time is over is so before anybody takes it back.
  if (call.op === 'report' && outcome.code !== 'NOT_SANDBOX_OWNER') return [];
  return leases
    .filter((lease) => lease.sandboxId === sandboxId && lease.holder === holder)
    .filter((lease) => spansCall(lease.granted, lease.ended, call))
    .map((lease) => ({
      rule: 'lost_lease',
      message: `${asked(call)} was refused with ${outcome.code}; it had ${told(lease.granted)}`,
    }));
}

/** Shown as leased to it: there was such a lease at some moment of the call; shown otherwise: not all along. */
function checkShown(call: Extract<Call, { op: 'get' }>, { leases }: Timeline): Violation[] {
  if (call.outcome.type !== 'shown') return [];
  const own = leases.filter(
    ({ sandboxId, holder }) => sandboxId === call.sandboxId && holder === call.holder,
  );
  const { status } = call.outcome;
  const isRight =
    status === 'allocated'
      ? own.some((lease) => mayTouch(lease, call))
      : !own.some(({ granted, ended }) => spansCall(granted, ended, call));
  return isRight ? [] : [{ rule: 'lost_lease', message: `${asked(call)} was shown ${status}` }];
}

/** No key has two live leases at one moment, but that one of them is overdue; none that is remembered has two at all. */
function checkKeys({ leases }: Timeline, termMs: number): Violation[] {
  const byKey = Map.groupBy(
    leases.filter(({ key }) => key !== undefined),
    ({ key }) => key,
  );
  const violations: Violation[] = [];
  for (const [key, ofKey] of byKey) {
    for (const [index, one] of ofKey.entries()) {
      for (const other of ofKey.slice(index + 1)) {
        if (one.granted.call === other.granted.call) continue;
        const isRemembered = one.isRemembered && other.isRemembered && !isReplaced(one, other);
        const untilMs = isRemembered ? rememberedMs : reclaimMs;
        const mayTakeTurns = !isRemembered && (mayFollow(one, other) || mayFollow(other, one));
        if (mayTakeTurns || isPastFor(one, other, (granted) => untilMs(granted, termMs))) continue;
        const when = isRemembered ? 'within its window' : 'at one time';
        const message = `${key} had ${told(one.granted)} and ${told(other.granted)} ${when}`;
        violations.push({ rule: 'split_key', message });
      }
    }
  }
  return violations;
}

/** The one was reported, and a report got the other, by itself or by a place in the line. */
const isReplaced = (one: FoundLease, other: FoundLease): boolean =>
  [
    [one, other],
    [other, one],
  ].some(
    ([first, second]) => first?.ended?.event.action === 'report' && second?.granted.call?.op === 'report',
  );

/** By the clock of whoever granted the later one, the earlier one's time was over. */
function isPastFor(one: FoundLease, other: FoundLease, untilMs: (granted: Step) => number): boolean {
  const [first, second] =
    one.granted.event.atMs <= other.granted.event.atMs
      ? [one.granted, other.granted]
      : [other.granted, one.granted];
  return second.event.atMs >= untilMs(first);
}

const asked = (call: Call): string =>
  `call ${call.id} (${call.op}${'holder' in call ? ` of ${call.holder}` : ''}, ${call.startMs} to ${call.endMs})`;
