import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { EffectRecord, EffectState } from '../../domain/resilience/effect.ts';
import type { Key, StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { scanPage } from '../dynamo/scan-page.ts';
import { effectItem } from './effects.ts';

/** The records of side effects as an operator looks at them. */
export interface EffectReads {
  /** The record under a key, if it is remembered. */
  get(pk: string, signal?: AbortSignal): Promise<EffectRecord | undefined>;
  /** Those whose keys begin so, in no order. It may be short and still have an `after`. */
  list(
    query: { pkPrefix: string; state?: EffectState | undefined; limit: number; after?: Key | undefined },
    signal?: AbortSignal,
  ): Promise<{ effects: EffectRecord[]; after?: Key }>;
}

const storedItem = effectItem.extend({
  pk: z.string(),
  ttl: z.number(),
  changed_at_ms: z.number().optional(),
  error: z.string().optional(),
});

export function createEffectReads(client: StoreClient, clock: Clock): EffectReads {
  /** TTL is late by design: what is over its time is gone for everybody who asks. */
  const readable = (item: Item): EffectRecord[] => {
    const row = storedItem.parse(item);
    if (row.ttl * 1000 <= clock.nowMs()) return [];
    return [
      {
        pk: row.pk,
        state: row.state,
        holders: row.fence,
        leaseUntilMs: row.lease_until_ms,
        changedAtMs: row.changed_at_ms,
        untilMs: row.ttl * 1000,
        // What an earlier attempt failed with says nothing of this one.
        error: row.state === 'failed' ? row.error : undefined,
        result: row.result === undefined ? undefined : JSON.parse(row.result),
      },
    ];
  };
  return {
    async get(pk, signal) {
      const item = await client.get({ pk, sk: 'E' }, signal);
      return item && readable(item)[0];
    },
    async list({ pkPrefix, state, limit, after }, signal) {
      const page = await scanPage(
        client,
        {
          FilterExpression: `sk = :sk AND begins_with(pk, :prefix)${state === undefined ? '' : ' AND #state = :state'}`,
          ...(state !== undefined && { ExpressionAttributeNames: { '#state': 'state' } }),
          ExpressionAttributeValues: {
            ':sk': 'E',
            ':prefix': pkPrefix,
            ...(state !== undefined && { ':state': state }),
          },
        },
        { limit, after },
        signal,
      );
      return { effects: page.items.flatMap(readable), ...(page.after && { after: page.after }) };
    },
  };
}
