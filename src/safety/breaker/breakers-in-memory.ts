import type { BreakerStore, SharedBreaker } from '../../domain/resilience/breaker.ts';

/** The breakers of one process, for those that share a name in it. */
export function createBreakersInMemory(): BreakerStore {
  const all = new Map<string, SharedBreaker>();
  return {
    read: async (name) => all.get(name),
    async write(name, record, seen) {
      const current = all.get(name);
      if (current?.generation !== seen) return { won: false, current };
      const next = { record, generation: (seen ?? 0) + 1 };
      all.set(name, next);
      return { won: true, current: next };
    },
  };
}
