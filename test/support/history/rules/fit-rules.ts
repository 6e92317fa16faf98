import type { Call, History, OperatorCall, ReportCall, Violation } from '../history.ts';
import type { Timeline } from '../timeline.ts';
import { told } from './chain-rules.ts';

/** What an operator has taken out of the pool, or its holder has reported, is leased to nobody before it is restored. */
export function checkFit({ leases, chains }: Timeline, { calls }: History): Violation[] {
  const quarantines = calls.filter(isQuarantine);
  return quarantines.flatMap(({ id, sandboxId, startMs, endMs }) => {
    const restores = (chains.get(sandboxId) ?? []).filter(
      ({ event, latestMs }) => event.action === 'restore' && latestMs >= startMs,
    );
    return leases
      .filter((lease) => lease.sandboxId === sandboxId && lease.granted.earliestMs > endMs)
      .filter(({ granted }) => !restores.some(({ earliestMs }) => earliestMs <= granted.latestMs))
      .map(({ granted }) => ({
        rule: 'unfit_lease' as const,
        message: `${told(granted)} came after the call ${id} took it out of the pool from ${startMs} to ${endMs}, and nobody has restored it`,
      }));
  });
}

const isQuarantine = (call: Call): call is OperatorCall | ReportCall =>
  (call.op === 'quarantine' && call.outcome.type === 'done') ||
  (call.op === 'report' && call.outcome.type === 'reported');
