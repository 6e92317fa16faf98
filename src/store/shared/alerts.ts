import { z } from 'zod';
import {
  ALERT_SEVERITIES,
  type AlertSeverity,
  type AlertStore,
  newestFirst,
  passesFilter,
  type RaisedAlert,
  severitiesOf,
} from '../../domain/resilience/alert.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { IS_NEW } from '../sandboxes/conditions.ts';
import { alertKey, alertSeverityKey, alertsOfDayPk, BY_STATUS } from '../sandboxes/keys.ts';

const DAY_MS = 86_400_000;
const KEPT_DAYS = 7;
/** A replica whose clock is ahead by less than this is read at the turn of a day, too. */
const CLOCK_SKEW_MS = 300_000;
const PAGE = 250;
/** Items that one query looks at, at most. */
const MAX_LOOKED_AT = 10_000;

const context = z
  .string()
  .transform((text): unknown => JSON.parse(text))
  .pipe(z.record(z.string(), z.unknown()));
const alertItem = z.object({
  id: z.string(),
  at_ms: z.int(),
  task: z.string(),
  reason: z.string(),
  severity: z.enum(ALERT_SEVERITIES),
  /** As text: the table's own numbers and names have limits that a caller's need not keep to. */
  context_json: context,
  replica: z.string(),
});

const toItem = ({ id, atMs, task, reason, severity, context, replica }: RaisedAlert): Item => ({
  ...alertKey(atMs, id),
  status_key: alertSeverityKey(severity, atMs, id),
  id,
  at_ms: atMs,
  task,
  reason,
  severity,
  context_json: JSON.stringify(context),
  replica,
  ttl: Math.ceil((atMs + KEPT_DAYS * DAY_MS) / 1000),
});

function toAlert(item: Item): RaisedAlert {
  const { at_ms: atMs, context_json: parsed, ...rest } = alertItem.parse(item);
  return { ...rest, atMs, context: parsed };
}

/**
 * The alerts in `client`'s table, a partition for each day: none of them grows for longer than that. One that cannot be
 * read is left out and told to `onUnreadable`.
 */
export function createAlertStore(
  client: StoreClient,
  onUnreadable: (sortKey: unknown, error: unknown) => void,
): AlertStore {
  function readable(items: Item[]): RaisedAlert[] {
    return items.flatMap((item) => {
      try {
        return [toAlert(item)];
      } catch (error) {
        onUnreadable(item.sk, error);
        return [];
      }
    });
  }

  /** The alerts of a day, the newest first; of one severity or of all. */
  async function* ofDay(
    atMs: number,
    severity: AlertSeverity | undefined,
    signal?: AbortSignal,
  ): AsyncGenerator<Item[], void, void> {
    let after: Item | undefined;
    do {
      const page = await client.query(
        {
          ...(severity === undefined
            ? { KeyConditionExpression: 'pk = :pk' }
            : {
                IndexName: BY_STATUS,
                KeyConditionExpression: 'pk = :pk AND begins_with(status_key, :severity)',
              }),
          ExpressionAttributeValues: {
            ':pk': alertsOfDayPk(atMs),
            ...(severity !== undefined && { ':severity': `${severity}#` }),
          },
          ScanIndexForward: false,
          Limit: PAGE,
          ...(after && { ExclusiveStartKey: after }),
        },
        signal,
      );
      yield page.items;
      after = page.lastKey;
    } while (after);
  }

  return {
    async write(alert, signal) {
      try {
        await client.put({ Item: toItem(alert), ConditionExpression: IS_NEW }, signal);
      } catch (error) {
        // Nobody else has this id: it is our own write, whose answer was lost and which was sent again.
        if (!(error instanceof ConditionFailedError)) throw error;
      }
    },

    async list({ limit, nowMs, ...filter }, signal) {
      const oldestMs = nowMs - KEPT_DAYS * DAY_MS;
      const severities = severitiesOf(filter);
      const streams = severities.length === ALERT_SEVERITIES.length ? [undefined] : severities;
      const found: RaisedAlert[] = [];
      let lookedAt = 0;
      const newestMs = nowMs + CLOCK_SKEW_MS;
      for (let dayMs = newestMs; dayOf(dayMs) >= dayOf(oldestMs); dayMs -= DAY_MS) {
        if (found.length >= limit) break;
        const ofThisDay: RaisedAlert[] = [];
        for (const severity of streams) {
          let meant = 0;
          for await (const items of ofDay(dayMs, severity, signal)) {
            lookedAt += items.length;
            const alerts = readable(items).filter(
              (alert) => alert.atMs > oldestMs && passesFilter(alert, filter),
            );
            ofThisDay.push(...alerts);
            meant += alerts.length;
            if (found.length + meant >= limit) break;
            if (lookedAt >= MAX_LOOKED_AT) {
              found.push(...ofThisDay);
              return { alerts: found.sort(newestFirst).slice(0, limit), complete: false };
            }
          }
        }
        found.push(...ofThisDay);
      }
      return { alerts: found.sort(newestFirst).slice(0, limit), complete: true };
    },
  };
}

const dayOf = (atMs: number): number => Math.floor(atMs / DAY_MS);
