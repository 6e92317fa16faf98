import type { History, ProviderDelete, Violation } from '../history.ts';
import type { CleanupPeriod, Step, Timeline } from '../timeline.ts';
import { told } from './chain-rules.ts';

/** What the provider was asked to delete, held against what was given back. */
export function checkDeletes({ chains, periods }: Timeline, history: History): Violation[] {
  const { deletes } = history;
  if (deletes === undefined) return [];
  const bySandbox = Map.groupBy(periods, ({ sandboxId }) => sandboxId);
  const requests = deletes.filter(({ outcome }) => outcome !== 'removed');
  const surelyIn = new Map<CleanupPeriod, ProviderDelete[]>();
  const violations: Violation[] = [];
  for (const request of requests) {
    const possible = (bySandbox.get(request.sandboxId) ?? []).filter((period) => mayBeIn(period, request));
    const [only, ...others] = possible;
    if (only === undefined) {
      const message = `a delete of ${request.sandboxId} at ${request.atMs}, when no mark and no expiry waited for one`;
      violations.push({ rule: 'unfounded_delete', message });
    } else if (others.length === 0 && request.outcome === 'deleted') {
      surelyIn.set(only, [...(surelyIn.get(only) ?? []), request]);
    }
  }
  for (const [period, effects] of surelyIn) {
    const chain = chains.get(period.sandboxId) ?? [];
    violations.push(...checkRepeats(period, effects, chain, history));
  }
  for (const period of periods) violations.push(...checkEnd(period, deletes));
  return violations;
}

const mayBeIn = ({ begun, ended }: CleanupPeriod, { atMs }: ProviderDelete): boolean =>
  begun.earliestMs <= atMs && atMs <= (ended?.latestMs ?? Infinity);

/**
 * One effect for each mark or expiry, unless whoever had it done could not know, or could not tell any more, or the
 * history says in between that the effect has not come.
 */
function checkRepeats(
  { begun }: CleanupPeriod,
  effects: readonly ProviderDelete[],
  chain: readonly Step[],
  { interruptionsMs = [], takeoverMs = 0 }: History,
): Violation[] {
  const inOrder = effects.toSorted((a, b) => a.atMs - b.atMs);
  return inOrder.flatMap((effect, index) => {
    const before = inOrder[index - 1];
    if (before === undefined || !before.told) return [];
    const isTakenOver =
      effect.atMs - before.atMs >= takeoverMs &&
      interruptionsMs.some((atMs) => before.atMs <= atMs && atMs <= effect.atMs);
    if (isTakenOver) return [];
    const isAskedAnew = chain.some(
      ({ event, earliestMs, latestMs }) =>
        event.action === 'cleanup_still_listed' && latestMs >= before.atMs && earliestMs <= effect.atMs,
    );
    if (isAskedAnew) return [];
    const message = `${told(begun)} was followed by effects at ${before.atMs} and ${effect.atMs}`;
    return { rule: 'repeated_delete', message } as const;
  });
}

/** A cleanup that is over has had its effect, or the provider has said that there was nothing left. */
function checkEnd(period: CleanupPeriod, deletes: readonly ProviderDelete[]): Violation[] {
  const { begun, ended } = period;
  const detail = ended?.event.detail;
  if (ended === undefined || detail === undefined) return [];
  const seen = deletes.filter(({ sandboxId }) => sandboxId === period.sandboxId);
  const isKept =
    detail === 'already_gone'
      ? seen.some(({ outcome, atMs }) => outcome !== 'failed' && atMs <= ended.latestMs)
      : seen.some((one) => one.outcome === 'deleted' && mayBeIn(period, one));
  if (isKept) return [];
  const message = `${told(ended)} says ${detail} after ${told(begun)}, and the provider has had no such delete`;
  return [{ rule: 'lost_delete', message }];
}
