import type { Status } from '../../api/types/status.ts';
import { POOL_STATUSES } from '../../domain/sandbox.ts';
import { fields, time } from '../output.ts';
import { isToned, sandboxStatus, type Toned, verdictWord } from './tones.ts';

/** How the broker stands, line by line: whether it serves and why not, the pool, the traffic, and what is amiss. */
export function statusLines(status: Status): string[] {
  const { readiness, provider, pool, activity, replicas, version } = status;
  return fields({
    verdict: verdictWord(readiness?.verdict),
    reasons: readiness?.reasons.join('; ') || undefined,
    dry_run: status.dry_run.enabled
      ? ({ text: status.dry_run.strict ? 'yes, strict' : 'yes', tone: 'warning' } satisfies Toned)
      : undefined,
    ...countLines(pool),
    counted: time(pool?.as_of),
    leases_per_minute: activity.leases_per_minute,
    refused_per_minute: warnedOf(activity.refusals_per_minute),
    p95_ms: activity.p95_ms ?? undefined,
    jobs_waiting: status.worker_queue_length,
    provider: provider.kind,
    last_sync:
      provider.last_sync?.error ?? (provider.last_sync ? `${provider.last_sync.listed} listed` : 'none yet'),
    open_breakers: bad(status.breakers.flatMap(({ name, state }) => (state === 'closed' ? [] : name))),
    loops_with_failures: bad(
      status.loops.flatMap(({ name, recent_runs: recent }) => (recent.with_failures > 0 ? name : [])),
    ),
    replicas: replicas.length,
    version,
  });
}

/** The counts by status, each in its tone unless it is zero. */
function countLines(pool: Status['pool']): Record<string, unknown> {
  const counts = POOL_STATUSES.map((status) => {
    const count = pool?.[status];
    const word = sandboxStatus(status);
    const isWorthIt = count !== undefined && count > 0 && isToned(word);
    return [status, isWorthIt ? { text: String(count), tone: word.tone } : count];
  });
  return { ...Object.fromEntries(counts), total: pool?.total };
}

const warnedOf = (perMinute: number): Toned | number =>
  perMinute > 0 ? { text: String(perMinute), tone: 'bad' } : perMinute;

const bad = (names: string[]): Toned | string =>
  names.length > 0 ? { text: names.join(', '), tone: 'bad' } : 'none';
