import { type PoolLevel, poolLevel } from '../domain/inventory.ts';
import type { PoolCounts } from '../domain/pool-counts.ts';
import type { PoolLevels } from '../store/shared/pool-level.ts';
import type { Alert, RaiseAlert } from '../usecases/alert.ts';

export interface WatchPoolDeps {
  levels: PoolLevels;
  /** Fewer free sandboxes than this are worth an alert; 0: only none at all. */
  lowWatermark: number;
  alert: RaiseAlert;
}

const SAID: Record<PoolLevel, Pick<Alert, 'reason' | 'severity'>> = {
  empty: { reason: 'pool_empty', severity: 'error' },
  low: { reason: 'pool_low', severity: 'warning' },
  ok: { reason: 'pool_recovered', severity: 'info' },
};

/**
 * Raises an alert when the free sandboxes run low or out, and one when there are enough again: once for each change,
 * whichever replica counted it. It bears the time of the count: which of two changes came first follows from the counts,
 * and not from whose note is answered first.
 */
export function watchPool({ levels, lowWatermark, alert }: WatchPoolDeps) {
  /** Seen here last: what is so still needs no other note. */
  let last: { level: PoolLevel; asOfMs: number } | undefined;
  return async ({ counts, total, asOfMs }: PoolCounts, signal?: AbortSignal): Promise<void> => {
    const { available } = counts;
    const level = poolLevel(available, lowWatermark);
    if (last && asOfMs <= last.asOfMs) return;
    const before = level === last?.level ? level : await levels.note({ level, asOfMs }, signal);
    last = { level, asOfMs };
    if (before === undefined || before === level) return;
    alert({
      task: 'pool',
      ...SAID[level],
      atMs: asOfMs,
      context: { available, total, low_watermark: lowWatermark, was: before },
    });
  };
}
