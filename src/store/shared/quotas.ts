import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import { BrokerError } from '../../domain/errors.ts';
import {
  addUse,
  asOf,
  hasRoom,
  type Quota,
  type QuotaStore,
  slotForUse,
  slotMsOf,
  type UsageWindow,
  unusedWindow,
} from '../../domain/resilience/quota.ts';
import type { StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { createGroupCommit } from '../dynamo/group-commit.ts';
import {
  IS_NEW,
  IS_THERE,
  LIMIT_IS_OLDER,
  QUOTA_HAS_ROOM,
  QUOTA_IS_OF_SLOT,
  QUOTA_IS_UNCHANGED,
} from '../sandboxes/conditions.ts';
import { GOVERNOR_PK, LAYOUT_KEY, quotaLimitKey, quotaUseKey } from '../sandboxes/keys.ts';

/** A failed try means that another replica's has succeeded: so many in a row are no race any more. */
const MAX_TRIES = 50;
const TTL_MARGIN_SECONDS = 3_600;
/** More than there are deletes under way. */
const USES_AT_ONCE = 100;
const UNINTERRUPTED = new AbortController().signal;

type Taken = Awaited<ReturnType<QuotaStore['take']>>;
type Attempt = Taken | { error: unknown };

const useItem = z.object({
  slot_ms: z.number(),
  in_window: z.int(),
  use_by_slot: z.record(z.string(), z.int()),
  revision_no: z.int(),
});
const limitItem = z.object({
  max_actions: z.int().min(0).nullable(),
  window_seconds: z.int().min(1),
  changed_at_ms: z.int(),
});

/** The shared quotas in `client`'s table: one item of counters and at most one limit for each resource. */
export function createQuotaStore(client: StoreClient, clock: Clock): QuotaStore {
  /** The cheap way, for all uses of a slot but the first: one conditional addition, with nothing to be read before. */
  async function addInSlot(
    resource: string,
    quota: Quota,
    { uses, nowMs }: { uses: number; nowMs: number },
    signal?: AbortSignal,
  ) {
    const slotMs = slotMsOf(quota.windowSeconds);
    const slot = Math.floor(nowMs / slotMs);
    const item = await client.update(
      {
        Key: quotaUseKey(resource),
        UpdateExpression:
          'SET use_by_slot.#slot = use_by_slot.#slot + :uses, in_window = in_window + :uses, #ttl = :ttl ADD revision_no :one',
        ConditionExpression: quota.maxActions === null ? QUOTA_IS_OF_SLOT : QUOTA_HAS_ROOM,
        ExpressionAttributeNames: { '#slot': String(slot), '#ttl': 'ttl' },
        ExpressionAttributeValues: {
          ':one': 1,
          ':uses': uses,
          ':slot': slot,
          ':slotMs': slotMs,
          ':ttl': ttlOf(quota, nowMs),
          ...(quota.maxActions !== null && { ':before': quota.maxActions - uses }),
        },
        ReturnValues: 'ALL_NEW',
        ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
      },
      signal,
    );
    return toWindow(useItem.parse(item));
  }

  /** The first use of a slot: the window moves on, and what is over goes out of it. */
  async function moveOn(
    resource: string,
    quota: Quota,
    seen: z.infer<typeof useItem> | undefined,
    next: UsageWindow,
    nowMs: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const revision = seen?.revision_no ?? 0;
    await client.put(
      {
        Item: {
          ...quotaUseKey(resource),
          slot_ms: next.slotMs,
          newest_slot: slotForUse(next, nowMs),
          in_window: next.total,
          use_by_slot: Object.fromEntries(next.uses.map(({ slot, count }) => [String(slot), count])),
          revision_no: revision + 1,
          ttl: ttlOf(quota, nowMs),
        },
        ...(seen
          ? { ConditionExpression: QUOTA_IS_UNCHANGED, ExpressionAttributeValues: { ':seen': revision } }
          : { ConditionExpression: IS_NEW }),
      },
      signal,
    );
  }

  /** So that the others learn of it with their next beat. */
  async function tellOfChange(signal?: AbortSignal): Promise<void> {
    try {
      await client.update(
        {
          Key: LAYOUT_KEY,
          UpdateExpression: 'SET limits_changed_at_ms = :now',
          ConditionExpression: IS_THERE,
          ExpressionAttributeValues: { ':now': clock.nowMs() },
        },
        signal,
      );
    } catch (error) {
      // A table without a layout has no beat either.
      if (!(error instanceof ConditionFailedError)) throw error;
    }
  }

  async function takeOne(resource: string, quota: Quota, signal?: AbortSignal): Promise<Taken> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const nowMs = clock.nowMs();
      let seen: z.infer<typeof useItem> | undefined;
      try {
        return { taken: true, window: await addInSlot(resource, quota, { uses: 1, nowMs }, signal) };
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
        seen = error.item && useItem.parse(error.item);
      }
      const slotMs = slotMsOf(quota.windowSeconds);
      const window = asOf(seen ? toWindow(seen) : unusedWindow(slotMs), slotMs, nowMs);
      if (!hasRoom(window, quota)) return { taken: false, window };
      const next = addUse(window, nowMs);
      try {
        await moveOn(resource, quota, seen, next, nowMs, signal);
        return { taken: true, window: next };
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
      }
    }
    throw new BrokerError('BUSY', `The quota of ${resource} is asked for too often at this moment.`, {
      retryAfterSeconds: 1,
    });
  }

  /** All of them, or none: there is no room for so many, or they are the first of a slot. */
  async function takeTogether(resource: string, quota: Quota, uses: number, signal: AbortSignal) {
    try {
      return await addInSlot(resource, quota, { uses, nowMs: clock.nowMs() }, signal);
    } catch (error) {
      if (error instanceof ConditionFailedError) return undefined;
      throw error;
    }
  }

  /** Uses that come at the same moment are one addition; where that cannot be, each finds out for itself. */
  const createTake = (resource: string) =>
    createGroupCommit<Quota, Attempt>({
      calls: 1,
      size: USES_AT_ONCE,
      touches: () => [],
      readiness: () => ({ waitMs: 0 }),
      async send(quotas, signal) {
        const [quota] = quotas.slice(-1);
        const window =
          quota && quotas.length > 1 ? await takeTogether(resource, quota, quotas.length, signal) : undefined;
        if (window) return quotas.map(() => ({ result: { taken: true, window } }));
        return await Promise.all(
          quotas.map(async (each) => ({
            result: await takeOne(resource, each, signal).catch((error: unknown) => ({ error })),
          })),
        );
      },
      concernsAll: () => true,
    });
  const takes = new Map<string, ReturnType<typeof createTake>>();

  return {
    async take(resource, quota, signal = UNINTERRUPTED) {
      const take = takes.get(resource) ?? createTake(resource);
      takes.set(resource, take);
      const attempt = await take(quota, signal);
      if ('error' in attempt) throw attempt.error;
      return attempt;
    },

    async read(signal) {
      const { items } = await client.query(
        { KeyConditionExpression: 'pk = :pk', ExpressionAttributeValues: { ':pk': GOVERNOR_PK } },
        signal,
      );
      const limits = new Map<string, Quota>();
      const windows = new Map<string, UsageWindow>();
      for (const item of items) {
        const [kind, resource = ''] = String(item.sk).split('#');
        if (kind === 'limit') limits.set(resource, toQuota(item));
        if (kind === 'use') windows.set(resource, toWindow(useItem.parse(item)));
      }
      return { limits, windows };
    },

    async setLimit(resource, { maxActions, windowSeconds }, signal) {
      for (let changedAtMs = clock.nowMs(); ; ) {
        try {
          await client.put(
            {
              Item: {
                ...quotaLimitKey(resource),
                max_actions: maxActions,
                window_seconds: windowSeconds,
                changed_at_ms: changedAtMs,
              },
              ConditionExpression: LIMIT_IS_OLDER,
              ExpressionAttributeValues: { ':now': changedAtMs },
              ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
            },
            signal,
          );
          return await tellOfChange(signal);
        } catch (error) {
          if (!(error instanceof ConditionFailedError) || !error.item) throw error;
          // Two operators at once, or clocks that differ: who comes later has the last word.
          changedAtMs = limitItem.parse(error.item).changed_at_ms + 1;
        }
      }
    },

    async clearLimit(resource, signal) {
      await client.delete({ Key: quotaLimitKey(resource) }, signal);
      await tellOfChange(signal);
    },
  };
}

const changeItem = z.object({ limits_changed_at_ms: z.number().optional() });

/** When a limit was set or taken back last, epoch milliseconds; undefined: never, or by an earlier version. */
export async function readLimitsChange(
  client: Pick<StoreClient, 'get'>,
  signal?: AbortSignal,
): Promise<number | undefined> {
  return changeItem.parse((await client.get(LAYOUT_KEY, signal)) ?? {}).limits_changed_at_ms;
}

const ttlOf = ({ windowSeconds }: Quota, nowMs: number): number =>
  Math.ceil(nowMs / 1000) + windowSeconds + TTL_MARGIN_SECONDS;

function toWindow(item: z.infer<typeof useItem>): UsageWindow {
  const uses = Object.entries(item.use_by_slot)
    .map(([slot, count]) => ({ slot: Number(slot), count }))
    .sort((a, b) => a.slot - b.slot);
  return { slotMs: item.slot_ms, uses, total: item.in_window };
}

function toQuota(item: Item): Quota {
  const row = limitItem.parse(item);
  return { maxActions: row.max_actions, windowSeconds: row.window_seconds };
}
