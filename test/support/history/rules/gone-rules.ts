import type { History, ProviderDelete, Violation } from '../history.ts';
import type { Timeline } from '../timeline.ts';
import { told } from './chain-rules.ts';

/** Gone means seen gone: what was deleted is leased only when a complete listing that began later has lacked it. */
export function checkGone({ leases }: Timeline, { deletes = [], listings }: History): Violation[] {
  if (listings === undefined) return [];
  const effects = Map.groupBy(deletes.filter(isDestruction), ({ sandboxId }) => sandboxId);
  return leases.flatMap(({ sandboxId, granted }) => {
    const surelyBefore = (effects.get(sandboxId) ?? []).filter(({ atMs }) => atMs < granted.earliestMs);
    if (surelyBefore.length === 0) return [];
    const deletedMs = Math.max(...surelyBefore.map(({ atMs }) => atMs));
    const wasSeenGone = listings.some(
      ({ startMs, endMs, has }) => startMs >= deletedMs && endMs <= granted.latestMs && !has.has(sandboxId),
    );
    if (wasSeenGone) return [];
    const message = `${told(granted)} came after its deletion at ${deletedMs}, and no listing in between lacked it`;
    return { rule: 'vanishing_lease', message } as const;
  });
}

const isDestruction = ({ outcome, recycled = false }: ProviderDelete): boolean =>
  outcome === 'deleted' && !recycled;
