import type { Loop as LoopName } from '../telemetry/metric-labels.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { RunReport } from './loop.ts';
import type { RunMemory } from './run-memory.ts';
import { runMessage } from './run-message.ts';

/** As much of a logger as is used here. */
type Log = Record<'debug' | 'info' | 'warn' | 'error', (fields: object, text: string) => void>;

/** Tells the memory, the metrics and the log of every run that has ended. */
export function tellRuns(deps: {
  memory: Pick<RunMemory, 'note'>;
  metrics: Pick<Metrics, 'loopRun'>;
  logger: Log;
}): (run: RunReport) => void {
  return (run) => {
    const { loop, action, outcome, durationMs, counts, error } = run;
    deps.memory.note(run);
    deps.metrics.loopRun(loop as LoopName, outcome, durationMs / 1000, forMetrics(counts ?? {}));
    const fields = {
      action,
      outcome,
      latency_ms: durationMs,
      ...counts,
      message: runMessage(run),
      ...(error !== undefined && { err: error }),
    };
    deps.logger[levelOf(run)](fields, `${loop}: ${outcome}`);
  };
}

function levelOf({ loop, outcome }: RunReport): keyof Log {
  if (outcome === 'error') return 'error';
  if (outcome === 'refused' || outcome === 'partial') return 'warn';
  return loop === 'counts' || outcome === 'skipped' ? 'debug' : 'info';
}

/** The counters' words for what the runs counted: a recycled sandbox was deleted, too. */
const forMetrics = (counts: Record<string, number>): Record<string, number> => ({
  ...counts,
  synced: counts.listed ?? 0,
  deleted: (counts.deleted ?? 0) + (counts.recycled ?? 0),
});
