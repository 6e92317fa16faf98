import { systemClock } from '../../clock.ts';
import type { RaisedAlert, WebhookOutcome } from '../../domain/resilience/alert.ts';
import { type Breaker, BreakerOpenError, createBreaker } from '../breaker/breaker.ts';
import { createRetry, type Retry } from '../retry/retry.ts';
import { createCooldown } from './cooldown.ts';
import { type AlertWebhook, createAlertWebhook } from './webhook.ts';
import { createWebhookHttp, type WebhookHttpOptions } from './webhook-http.ts';

export interface TellWebhookOptions extends Pick<WebhookHttpOptions, 'url' | 'secret' | 'timeoutMs'> {
  /** `generic` unless told otherwise. */
  format?: WebhookHttpOptions['format'];
  /** One kind of alert is told once in so long, milliseconds; five minutes unless given. */
  cooldownMs?: number;
  retry?: Retry;
  breaker?: Breaker;
  /** Told what became of each notification. */
  onOutcome?: (outcome: WebhookOutcome, alert: RaisedAlert, error?: unknown) => void;
}

const COOLDOWN_MS = 300_000;
const RETRY_POLICY = { totalMs: 20_000, attemptMs: 2_000 };
const BREAKER_RULES = {
  trip: { kind: 'consecutive', failures: 5 },
  recovery: { kind: 'automatic', afterMs: 60_000 },
} as const;

/**
 * A hook that tells alerts to a webhook, behind the back of whoever raises them: `alerts.subscribe('*', hook.notify)`.
 * Throws a `RangeError` for a URL that is none.
 */
export function tellWebhook(options: TellWebhookOptions): AlertWebhook {
  const { format = 'generic', cooldownMs = COOLDOWN_MS, onOutcome = () => undefined } = options;
  const { retry = createRetry(), breaker = createBreaker({ name: 'webhook', rules: BREAKER_RULES }) } =
    options;
  const http = createWebhookHttp({ ...options, format, clock: systemClock });
  const webhook = createAlertWebhook({
    cooldown: createCooldown(cooldownMs),
    async deliver(notification, signal) {
      const task = `webhook:${notification.alert.id}`;
      try {
        await breaker.execute(
          (inner) =>
            retry.run(task, (_n, each) => http.send(notification, each), { ...RETRY_POLICY, signal: inner }),
          signal,
        );
        return 'sent';
      } catch (error) {
        if (error instanceof BreakerOpenError) return { againInMs: error.retryAfterMs };
        throw error;
      }
    },
    onOutcome,
  });
  return {
    notify: webhook.notify,
    async close(withinMs) {
      await webhook.close(withinMs);
      await http.close();
    },
  };
}
