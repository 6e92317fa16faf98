import { type Clock, systemClock } from '../../clock.ts';
import { BoundedMap } from '../../domain/bounded-map.ts';
import { BrokerError } from '../../domain/errors.ts';
import type { QuotaStore } from '../../domain/resilience/quota.ts';
import {
  addUse,
  asOf,
  hasRoom,
  type Quota,
  secondsUntilRoom,
  slotMsOf,
  type UsageWindow,
  unusedWindow,
} from '../../domain/resilience/quota.ts';
import { createQuotasInMemory } from './quotas-in-memory.ts';

export type Verdict = { allowed: true } | { allowed: false; retryAfterSeconds: number };

/** A quota, and where it is counted: `global` in the store, for all replicas together; `local` by each for itself. */
export type ResourceQuota = Quota & {
  /** `global` unless told otherwise. */
  scope?: 'local' | 'global';
};

/** A use that was refused. */
export interface Violation<R extends string = string> {
  /** Epoch milliseconds. */
  atMs: number;
  resource: R;
  /** Whose use it was, where callers are counted one by one. */
  key?: string;
  retryAfterSeconds: number;
}

/** A resource as operators see it. */
export interface GovernorRow<R extends string = string> {
  resource: R;
  /** `global`: counted for all replicas together; `local`: by each for itself. */
  scope: 'local' | 'global';
  /** Uses in the window; where callers are counted one by one, those of the busiest. */
  currentActions: number;
  /** `null`: unlimited. */
  maxActions: number | null;
  windowSeconds: number;
  /** Refusals by this replica since its start. */
  deniedCount: number;
  /** An operator set it at run time. */
  overridden: boolean;
}

/** Quotas over sliding windows. A refusal uses nothing up. Everything throws a `RangeError` for a resource that is not one. */
export interface Governor<R extends string = string> {
  /**
   * Takes one use of `resource`, for callers that are counted one by one under `key`. Rejects with
   * `STORE_UNAVAILABLE`, having taken nothing, when a shared quota cannot be asked.
   */
  take(resource: R, key?: string, signal?: AbortSignal): Promise<Verdict>;
  /** What `take` would say, as far as this replica knows; nothing is used up and no store asked. */
  check(resource: R, key?: string): Verdict;
  status(): GovernorRow<R>[];
  /** The last 100 uses that this replica refused, the oldest first; `resource`: only those of it. */
  violations(resource?: R): Violation<R>[];
  /**
   * Changes a quota on every replica, here at once and on the others with their next beat; what was used stays counted.
   * @param maxActions whole, >= 0; `null`: unlimited
   * @param windowSeconds whole, 1 to {@link MAX_WINDOW_SECONDS}; absent: as it is
   */
  setLimit(
    resource: R,
    maxActions: number | null,
    windowSeconds?: number,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Goes back to the quota this process was configured with, on every replica to its own. */
  resetLimit(resource: R, signal?: AbortSignal): Promise<void>;
  /** Learns what other replicas have set and used. To be called again and again; a failure leaves things as they are. */
  refresh(signal?: AbortSignal): Promise<void>;
}

/** What an operator is told about a quota that is used up. */
export interface QuotaAlert {
  task: 'governor';
  reason: string;
  severity: 'warning';
  context: Record<string, unknown>;
}

export interface GovernorOptions<R extends string = string> {
  /** Every resource there is. Its names become part of the types. */
  quotas: Readonly<Record<R, ResourceQuota>>;
  /** Where global quotas and everybody's limits are; in memory unless given. */
  store?: QuotaStore;
  clock?: Clock;
  /** Told of refusals, but not of each one of a flood. */
  alert?: (alert: QuotaAlert) => void;
  onDenied?: (resource: R) => void;
  /** Callers remembered per resource. */
  maxKeys?: number;
}

export const MAX_WINDOW_SECONDS = 7 * 86_400;
const DEFAULT_MAX_KEYS = 10_000;
const MAX_VIOLATIONS = 100;
/** A flood of refusals is one piece of news. */
const ALERT_EVERY_MS = 300_000;

/** Everybody shares it. */
const NO_KEY = '';

/** The governor of one replica. Throws a `RangeError` for a quota that cannot be meant. */
export function createGovernor<R extends string>(options: GovernorOptions<R>): Governor<R> {
  const { quotas, clock = systemClock, alert, onDenied, maxKeys = DEFAULT_MAX_KEYS } = options;
  const { store = createQuotasInMemory(clock) } = options;
  const resources = namesOf(quotas);
  for (const resource of resources) checkQuota(resource, quotas[resource]);
  let limits: ReadonlyMap<string, Quota> = new Map();
  /** Counts the changes made here, so that a refresh that was under way meanwhile does not undo one. */
  let changes = 0;
  let violations: Violation<R>[] = [];
  const denied = new Map<R, { count: number; alertedAtMs: number; alertedCount: number }>();
  const known = new Map<string, UsageWindow>();
  /** By resource and caller; the one unused for longest is forgotten first. */
  const local = new Map<R, BoundedMap<string, UsageWindow>>();

  const quotaOf = (resource: R): Quota => limits.get(resource) ?? quotas[resource];

  const isGlobal = (resource: R): boolean => quotas[resource].scope !== 'local';

  function resourceOf(name: R): R {
    if (!Object.hasOwn(quotas, name)) throw new RangeError(`there is no quota of ${name}`);
    return name;
  }

  function windowOf(resource: R, key: string, nowMs: number): UsageWindow {
    const slotMs = slotMsOf(quotaOf(resource).windowSeconds);
    const kept = isGlobal(resource) ? known.get(resource) : local.get(resource)?.get(key);
    return kept === undefined ? unusedWindow(slotMs) : asOf(kept, slotMs, nowMs);
  }

  function keep(resource: R, key: string, window: UsageWindow): void {
    const windows = local.get(resource) ?? new BoundedMap<string, UsageWindow>(maxKeys);
    local.set(resource, windows);
    windows.set(key, window);
  }

  function deny(resource: R, key: string, window: UsageWindow, nowMs: number): Verdict {
    const quota = quotaOf(resource);
    const retryAfterSeconds = secondsUntilRoom(window, quota, nowMs);
    onDenied?.(resource);
    const violation = { atMs: nowMs, resource, retryAfterSeconds, ...(key !== NO_KEY && { key }) };
    violations = [...violations, violation].slice(-MAX_VIOLATIONS);
    const seen = denied.get(resource) ?? { count: 0, alertedAtMs: Number.NEGATIVE_INFINITY, alertedCount: 0 };
    seen.count++;
    denied.set(resource, seen);
    if (nowMs - seen.alertedAtMs >= ALERT_EVERY_MS) {
      alert?.({
        task: 'governor',
        // A word for each resource: one that is refused often must not hide another.
        reason: `quota_exceeded_${resource}`,
        severity: 'warning',
        context: {
          resource,
          ...(key !== NO_KEY && { caller: key }),
          max_actions: quota.maxActions,
          window_seconds: quota.windowSeconds,
          retry_after_seconds: retryAfterSeconds,
          denied_since_last_alert: seen.count - seen.alertedCount,
        },
      });
      seen.alertedAtMs = nowMs;
      seen.alertedCount = seen.count;
    }
    return { allowed: false, retryAfterSeconds };
  }

  return {
    async take(name, key = NO_KEY, signal) {
      const resource = resourceOf(name);
      const quota = quotaOf(resource);
      if (isGlobal(resource)) {
        const { taken, window } = await store.take(resource, quota, signal);
        known.set(resource, window);
        return taken ? ALLOWED : deny(resource, NO_KEY, window, clock.nowMs());
      }
      const nowMs = clock.nowMs();
      const window = windowOf(resource, key, nowMs);
      if (!hasRoom(window, quota)) return deny(resource, key, window, nowMs);
      keep(resource, key, addUse(window, nowMs));
      return ALLOWED;
    },

    check(name, key = NO_KEY) {
      const resource = resourceOf(name);
      const nowMs = clock.nowMs();
      const window = windowOf(resource, key, nowMs);
      return hasRoom(window, quotaOf(resource)) ? ALLOWED : deny(resource, key, window, nowMs);
    },

    status() {
      const nowMs = clock.nowMs();
      return resources.map((resource) => {
        const keys = isGlobal(resource) ? [NO_KEY] : [...(local.get(resource)?.keys() ?? [])];
        return {
          resource,
          scope: quotas[resource].scope ?? 'global',
          currentActions: keys.reduce((most, key) => Math.max(most, windowOf(resource, key, nowMs).total), 0),
          maxActions: quotaOf(resource).maxActions,
          windowSeconds: quotaOf(resource).windowSeconds,
          deniedCount: denied.get(resource)?.count ?? 0,
          overridden: limits.has(resource),
        };
      });
    },

    violations: (resource) =>
      resource === undefined ? violations : violations.filter((each) => each.resource === resource),

    async setLimit(name, maxActions, windowSeconds, signal) {
      const resource = resourceOf(name);
      const quota = { maxActions, windowSeconds: windowSeconds ?? quotaOf(resource).windowSeconds };
      checkQuota(resource, quota);
      await store.setLimit(resource, quota, signal);
      changes++;
      limits = new Map([...limits, [resource, quota]]);
    },

    async resetLimit(name, signal) {
      const resource = resourceOf(name);
      await store.clearLimit(resource, signal);
      changes++;
      limits = new Map([...limits].filter(([of]) => of !== resource));
    },

    async refresh(signal) {
      const before = changes;
      const read = await store.read(signal);
      for (const [resource, window] of read.windows) known.set(resource, window);
      if (changes === before) limits = read.limits;
    },
  };
}

/** For a caller who is to come back later. */
export const quotaExceeded = (resource: string, retryAfterSeconds: number): BrokerError =>
  new BrokerError('QUOTA_EXCEEDED', `The quota of ${resource} is used up.`, {
    retryAfterSeconds,
    details: { resource },
  });

const ALLOWED: Verdict = { allowed: true };

/** The names of a record that has no others than its type says. */
const namesOf = <R extends string>(record: Readonly<Record<R, unknown>>): R[] => Object.keys(record) as R[];

function checkQuota(resource: string, { maxActions, windowSeconds }: Quota): void {
  if (maxActions !== null && !(Number.isSafeInteger(maxActions) && maxActions >= 0)) {
    throw new RangeError(`maxActions of ${resource} must be a whole number >= 0 or null, not ${maxActions}`);
  }
  if (!(Number.isSafeInteger(windowSeconds) && windowSeconds >= 1 && windowSeconds <= MAX_WINDOW_SECONDS)) {
    throw new RangeError(
      `windowSeconds of ${resource} must be a whole number from 1 to ${MAX_WINDOW_SECONDS}, not ${windowSeconds}`,
    );
  }
}
