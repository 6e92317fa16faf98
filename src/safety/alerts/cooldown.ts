import { BoundedMap } from '../../domain/bounded-map.ts';
import type { Alert } from '../../domain/resilience/alert.ts';

/** What is to become of an alert's notification. */
export type CooldownVerdict = 'notify' | 'swallowed';

/**
 * Keeps one kind of alert, a task's reason, from being told over and over. Times are on the monotonic clock.
 *
 *     asked: notify ─── waits to be sent ───▶ sent ─────── cooldownMs ───────▶ asked: notify, and how many were swallowed
 *                └──────── more of the kind are swallowed and counted ───────┘
 */
export interface Cooldown {
  ask(alert: Alert): CooldownVerdict;
  /** How many of the kind were swallowed since the last notification. */
  swallowed(alert: Alert): number;
  /** A notification that told of so many swallowed ones has arrived. */
  sent(alert: Alert, told: number): void;
  /** It has not: more of the kind are swallowed for a moment only, and the next one tells of this one, too. */
  lost(alert: Alert): void;
}

interface Kind {
  /** Absent while the notification is on its way. */
  untilMs?: number | undefined;
  swallowed: number;
}

const MAX_KINDS = 1_000;
/** A far side that refuses every notification is not to get one for each alert of a storm. */
const AFTER_LOSS_MS = 15_000;

/** Throws a `RangeError` for a cooldown that is not >= 0. */
export function createCooldown(
  cooldownMs: number,
  monotonicMs: () => number = () => performance.now(),
): Cooldown {
  if (!(cooldownMs >= 0)) throw new RangeError(`cooldownMs must be >= 0, not ${cooldownMs}`);
  /** The one that was there longest without a word gives way. */
  const kinds = new BoundedMap<string, Kind>(MAX_KINDS);
  const kindOf = ({ task, reason }: Alert) => JSON.stringify([task, reason]);

  return {
    ask(alert) {
      const key = kindOf(alert);
      const kind = kinds.get(key);
      if (kind !== undefined && (kind.untilMs === undefined || kind.untilMs > monotonicMs())) {
        kind.swallowed++;
        return 'swallowed';
      }
      kinds.set(key, { swallowed: kind?.swallowed ?? 0 });
      return 'notify';
    },
    swallowed: (alert) => kinds.get(kindOf(alert))?.swallowed ?? 0,
    sent(alert, told) {
      const key = kindOf(alert);
      const swallowed = Math.max(0, (kinds.get(key)?.swallowed ?? 0) - told);
      kinds.set(key, { untilMs: monotonicMs() + cooldownMs, swallowed });
    },
    lost(alert) {
      const key = kindOf(alert);
      const untilMs = monotonicMs() + Math.min(cooldownMs, AFTER_LOSS_MS);
      kinds.set(key, { untilMs, swallowed: (kinds.get(key)?.swallowed ?? 0) + 1 });
    },
  };
}
