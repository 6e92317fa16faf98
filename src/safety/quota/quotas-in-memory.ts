import type { Clock } from '../../clock.ts';
import {
  addUse,
  asOf,
  hasRoom,
  type Quota,
  type QuotaStore,
  slotMsOf,
  type UsageWindow,
  unusedWindow,
} from '../../domain/resilience/quota.ts';

/** Quotas of one process. What is over is forgotten with the next use; there is one window for each resource. */
export function createQuotasInMemory(clock: Clock): QuotaStore {
  const limits = new Map<string, Quota>();
  const windows = new Map<string, UsageWindow>();
  return {
    async take(resource, quota) {
      const nowMs = clock.nowMs();
      const slotMs = slotMsOf(quota.windowSeconds);
      const window = asOf(windows.get(resource) ?? unusedWindow(slotMs), slotMs, nowMs);
      if (!hasRoom(window, quota)) return { taken: false, window };
      const next = addUse(window, nowMs);
      windows.set(resource, next);
      return { taken: true, window: next };
    },
    read: async () => ({ limits: new Map(limits), windows: new Map(windows) }),
    async setLimit(resource, quota) {
      limits.set(resource, quota);
    },
    async clearLimit(resource) {
      limits.delete(resource);
    },
  };
}
