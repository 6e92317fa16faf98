import type { Clock, NewId } from '../../clock.ts';
import type { EffectHold, EffectRecords } from '../../domain/resilience/effect.ts';

interface EffectRecord {
  state: 'in_progress' | 'completed' | 'failed';
  owner: string;
  fence: number;
  leaseUntilMs: number;
  goneAtMs: number;
  /** As JSON text: whoever gets it later gets what a store would give, and nothing shared. */
  result?: string | undefined;
}

/** How many records are looked through for such as are over, each time that one is taken. */
const SWEPT_AT_ONCE = 2;

/** Effect records of one process, each kept for its time. */
export function createEffectsInMemory({ clock, newId }: { clock: Clock; newId: NewId }): EffectRecords {
  const records = new Map<string, EffectRecord>();

  /** A few at a time, each in its turn: what is over goes, and nobody waits for it. */
  function sweep(nowMs: number): void {
    for (const [pk, record] of [...records.entries().take(SWEPT_AT_ONCE)]) {
      records.delete(pk);
      if (record.goneAtMs > nowMs) records.set(pk, record);
    }
  }

  function settle(hold: EffectHold, state: 'completed' | 'failed', result?: string): boolean {
    const record = records.get(hold.pk);
    if (record === undefined || record.owner !== hold.owner) return false;
    records.set(hold.pk, { ...record, state, goneAtMs: clock.nowMs() + hold.ttlMs, result });
    return true;
  }

  return {
    async take(pk, { leaseMs, ttlMs }) {
      const nowMs = clock.nowMs();
      sweep(nowMs);
      const kept = records.get(pk);
      const last = kept !== undefined && kept.goneAtMs > nowMs ? kept : undefined;
      if (last?.state === 'completed') {
        return { type: 'completed', result: last.result === undefined ? undefined : JSON.parse(last.result) };
      }
      if (last?.state === 'in_progress' && last.leaseUntilMs >= nowMs) {
        return { type: 'in_progress', freeInMs: last.leaseUntilMs - nowMs };
      }
      const owner = newId();
      const untilMs = nowMs + leaseMs;
      const fence = (last?.fence ?? 0) + 1;
      records.set(pk, {
        state: 'in_progress',
        owner,
        fence,
        leaseUntilMs: untilMs,
        goneAtMs: Math.max(untilMs, nowMs + ttlMs),
      });
      return {
        type: 'taken',
        hold: { pk, owner, fence, isTakenOver: last?.state === 'in_progress', untilMs, ttlMs },
      };
    },
    isOver: ({ untilMs }) => clock.nowMs() >= untilMs,
    complete: async (hold, result) =>
      settle(hold, 'completed', result === undefined ? undefined : JSON.stringify(result)),
    fail: async (hold) => settle(hold, 'failed'),
  };
}
