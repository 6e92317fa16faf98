import type { Clock } from '../clock.ts';
import { eventOf } from '../domain/event.ts';
import { requestDeletion } from '../domain/transitions.ts';
import { everywhere, type SandboxReads } from '../store/reads.ts';
import type { SandboxStore } from '../store/sandboxes.ts';
import type { CallContext } from './context.ts';

export interface ExpireCounts {
  /** Leases past their end and buffer. */
  overdue: number;
  marked: number;
  /** Given back, or changed, while the run looked at them. */
  skipped: number;
}

/** Takes back what was forgotten: a lease whose buffer is over is marked for deletion, and its key is free again. */
export function expireLeases(deps: {
  store: Pick<SandboxStore, 'write'>;
  reads: SandboxReads;
  clock: Clock;
}) {
  return async (context: CallContext, onProgress?: () => void): Promise<ExpireCounts> => {
    const counts: ExpireCounts = { overdue: 0, marked: 0, skipped: 0 };
    const nowMs = deps.clock.nowMs();
    const due = everywhere(deps.reads.buckets, (place) =>
      deps.reads.due({ nowMs, ...place }, context.signal),
    );
    for await (const seen of due) {
      if (seen.status !== 'allocated') continue;
      context.signal.throwIfAborted();
      counts.overdue++;
      const next = requestDeletion(seen, deps.clock.nowMs());
      const event = eventOf(seen, next, 'expire', context);
      const written = await deps.store.write({ seen, next, event }, context.signal);
      counts[written ? 'marked' : 'skipped']++;
      onProgress?.();
    }
    return counts;
  };
}
