import type { ReadinessFinding } from '../domain/readiness.ts';
import type { PoolCounts } from '../usecases/inventory/pool-stats.ts';

/** Whether whoever asks for a sandbox now gets one, as of the last count. */
export function poolReadiness(pool: PoolCounts | undefined): ReadinessFinding {
  if (!pool || pool.counts.available > 0) return { state: 'ok' };
  if (pool.total === 0) return { state: 'degraded', detail: 'empty, no sandbox is known' };
  const { allocated, pending_deletion, deletion_failed, stale, cooling, quarantined } = pool.counts;
  const taken = Object.entries({
    allocated,
    'waiting for a cleanup': pending_deletion,
    'not deleted': deletion_failed,
    stale,
    'cooling down': cooling,
    'in quarantine': quarantined,
  }).flatMap(([what, count]) => (count > 0 ? `${count} ${what}` : []));
  return { state: 'degraded', detail: `exhausted, no sandbox is free (${taken.join(', ')})` };
}

/** Whether sandboxes come back, as of the last count. */
export function deletionReadiness(pool: PoolCounts | undefined): ReadinessFinding {
  const failed = pool?.counts.deletion_failed ?? 0;
  return failed === 0
    ? { state: 'ok' }
    : { state: 'degraded', detail: `${failed} failed; what has no tries left waits for an operator` };
}
