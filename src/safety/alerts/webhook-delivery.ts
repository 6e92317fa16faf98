import { hasCode } from '../../domain/errors.ts';
import type { Breaker } from '../breaker/breaker.ts';
import type { Guard } from '../guard/guard.ts';
import type { Delivery } from './webhook.ts';
import type { WebhookHttp } from './webhook-http.ts';
import type { Notification } from './webhook-payload.ts';

export interface WebhookDeliveryOptions<A extends string, R extends string> {
  /** What the guards know it by. */
  action: A;
  http: Pick<WebhookHttp, 'send'>;
  breaker: Breaker;
  /** With effect records: a notification is sent once. */
  guard: Guard<A, R>;
  /** Without them, for when the store is away. */
  guardWithoutRecords: Guard<A, R>;
}

/** An alert is raised once and told once; the record of that knows no second time. */
const GENERATION = 0;

/** Brings one notification to the far side as what it is: a call that cannot be undone. */
export function deliverWebhook<A extends string, R extends string>(options: WebhookDeliveryOptions<A, R>) {
  const { action, http, breaker, guard, guardWithoutRecords } = options;
  return async (notification: Notification, signal: AbortSignal): Promise<Delivery> => {
    const { id, task, reason, severity } = notification.alert;
    const through = (guarding: Guard<A, R>) =>
      guarding.run(
        {
          action,
          entity: id,
          generation: GENERATION,
          task: `webhook:${id}`,
          args: { alert_id: id, task, reason, severity },
        },
        (inner) => http.send(notification, inner),
        { signal, breaker },
      );
    const outcome = await through(guard).catch((error: unknown) => {
      // An alert that the store is away must not wait for the store: its receiver knows one that comes twice by its id.
      if (hasCode(error, 'STORE_UNAVAILABLE')) return through(guardWithoutRecords);
      // Its time was over before an attempt: a machine that was suspended meanwhile begins anew.
      if (hasCode(error, 'EFFECT_IN_PROGRESS')) {
        return { outcome: 'later', retryAfterSeconds: error.retryAfterSeconds ?? 1 } as const;
      }
      throw error;
    });
    switch (outcome.outcome) {
      case 'executed':
        return 'sent';
      case 'dry_run':
        return 'dry_run';
      case 'later':
        return { againInMs: outcome.retryAfterSeconds * 1000 };
    }
  };
}
