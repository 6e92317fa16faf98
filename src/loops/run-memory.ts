import type { Clock } from '../clock.ts';
import { outcomeOf, type RunOutcome } from '../domain/run-outcome.ts';
import type { RunReport } from './loop.ts';
import type { LastRun } from './loop-report.ts';

/** What a replica remembers of its loops' runs. */
export interface RunMemory {
  note(report: Pick<RunReport, 'loop' | 'outcome' | 'durationMs' | 'counts'>): void;
  of(loop: string): LastRun;
  /** Loops whose last run here failed, if only in part, and whose interval no other replica has served since. */
  failed(): { loop: string; isPartial: boolean }[];
}

const HEALTHY: ReadonlySet<RunOutcome> = new Set(['success', 'aborted']);

/** Runs that are remembered of each loop. */
const RECENT = 10;

/** `hasOthers`: another replica lives. Without one, an interval that is served was served by this replica itself. */
export function createRunMemory(clock: Clock, hasOthers: () => boolean): RunMemory {
  const memory = new Map<string, LastRun & { troubles: boolean[] }>();
  const recentOf = (troubles: readonly boolean[]) => ({
    runs: troubles.length,
    withFailures: troubles.filter(Boolean).length,
  });
  return {
    note({ loop, outcome, durationMs, counts = {} }) {
      const before = memory.get(loop) ?? { troubles: [], recent: recentOf([]) };
      const nowMs = clock.nowMs();
      if (outcome === 'skipped') {
        if (hasOthers()) memory.set(loop, { ...before, leftToOthersAtMs: nowMs });
        return;
      }
      const isTroubled = !HEALTHY.has(outcome) || outcomeOf(counts) !== 'success';
      const troubles = [...before.troubles, isTroubled].slice(-RECENT);
      const run = { outcome, endedAtMs: nowMs, durationMs, counts };
      memory.set(loop, { run, troubles, recent: recentOf(troubles) });
    },
    of(loop) {
      const { run, recent, leftToOthersAtMs } = memory.get(loop) ?? { recent: recentOf([]) };
      return { recent, ...(run && { run }), ...(leftToOthersAtMs !== undefined && { leftToOthersAtMs }) };
    },
    failed: () =>
      [...memory].flatMap(([loop, { run, leftToOthersAtMs }]) =>
        (run?.outcome === 'error' || run?.outcome === 'partial') && leftToOthersAtMs === undefined
          ? [{ loop, isPartial: run.outcome === 'partial' }]
          : [],
      ),
  };
}
