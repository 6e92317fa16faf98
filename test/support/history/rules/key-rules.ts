import type { Violation } from '../history.ts';
import type { LeaseEnds } from '../lease-ends.ts';
import type { FoundLease, Timeline } from '../timeline.ts';
import { told } from './chain-rules.ts';

/** No key has two live leases at one moment, but that one of them is overdue; none that is remembered has two at all. */
export function checkKeys({ leases }: Timeline, ends: LeaseEnds): Violation[] {
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
        const untilMs = isRemembered ? ends.rememberedMs : ends.reclaimMs;
        const mayTakeTurns = !isRemembered && (mayFollow(one, other) || mayFollow(other, one));
        if (mayTakeTurns || isPastFor(one, other, untilMs)) continue;
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
function isPastFor(one: FoundLease, other: FoundLease, untilMs: LeaseEnds['reclaimMs']): boolean {
  const [first, second] = one.granted.event.atMs <= other.granted.event.atMs ? [one, other] : [other, one];
  return second.granted.event.atMs >= untilMs(first, second.granted.earliestMs);
}

/** May the one have ended before the other began? */
export const mayFollow = ({ ended }: FoundLease, { granted }: FoundLease): boolean =>
  ended !== undefined && ended.earliestMs <= granted.latestMs;
