import type { RaisedAlert, WebhookOutcome } from '../../domain/resilience/alert.ts';
import { createBackgroundQueue } from '../background-queue.ts';
import type { Cooldown } from './cooldown.ts';
import type { Notification } from './webhook-payload.ts';

/** How one delivery ended: for good, or it is to be tried again after so many milliseconds. */
export type Delivery = 'sent' | 'dry_run' | { againInMs: number };

export interface AlertWebhook {
  /** Sees to it that the alert is told to the far side, later. */
  notify(alert: RaisedAlert): void;
  /** Sends what waits for `withinMs` at most. Idempotent. */
  close(withinMs: number): Promise<void>;
}

export interface AlertWebhookOptions {
  cooldown: Cooldown;
  /** Throws when the notification did not get through and there is no point in trying it again. */
  deliver: (notification: Notification, signal: AbortSignal) => Promise<Delivery>;
  onOutcome: (outcome: WebhookOutcome, alert: RaisedAlert, error?: unknown) => void;
}

/** At most one of each kind waits, so this many kinds of trouble at once. */
const MAX_WAITING = 100;
/** A pause that the breaker or a quota asks for may be over earlier: an operator can end it. */
const LOOK_AGAIN_MS = 60_000;

/** Tells alerts to a far side, behind the back of whoever raises them. */
export function createAlertWebhook({ cooldown, deliver, onOutcome }: AlertWebhookOptions): AlertWebhook {
  async function work(alert: RaisedAlert, signal: AbortSignal): Promise<number | undefined> {
    const swallowed = cooldown.swallowed(alert);
    try {
      const delivery = await deliver({ alert, swallowed }, signal);
      if (typeof delivery === 'object') return Math.min(delivery.againInMs, LOOK_AGAIN_MS);
      cooldown.sent(alert, swallowed);
      onOutcome(delivery, alert);
    } catch (error) {
      // Cut short by the end of the process: counted there.
      if (signal.aborted) return undefined;
      cooldown.lost(alert);
      onOutcome('failed', alert, error);
    }
    return undefined;
  }

  const queue = createBackgroundQueue({ capacity: MAX_WAITING, work });

  return {
    notify(alert) {
      if (cooldown.ask(alert) === 'swallowed') {
        onOutcome('swallowed', alert);
      } else if (!queue.push(alert)) {
        cooldown.lost(alert);
        onOutcome('dropped', alert);
      }
    },
    async close(withinMs) {
      for (const alert of await queue.close(withinMs)) onOutcome('dropped', alert);
    },
  };
}
