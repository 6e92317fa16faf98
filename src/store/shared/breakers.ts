import { z } from 'zod';
import type { Clock, NewId } from '../../clock.ts';
import { assertNever } from '../../domain/errors.ts';
import {
  type BreakerRecord,
  type BreakerStore,
  type SharedBreaker,
  TRIP_REASONS,
} from '../../domain/resilience/breaker.ts';
import type { Key, StoreClient } from '../dynamo/client.ts';
import type { Item } from '../dynamo/documents.ts';
import { ConditionFailedError } from '../dynamo/errors.ts';
import { IS_NEW, IS_UNCHANGED } from '../sandboxes/conditions.ts';

/** A breaker that nobody has touched for a week is as good as new. */
const TTL_SECONDS = 7 * 86_400;

const breakerKey = (name: string): Key => ({ pk: 'BREAKERS', sk: name });

const base = {
  era: z.int(),
  since_ms: z.number(),
  last_failure_at_ms: z.number().optional(),
  override: z.object({ state: z.enum(['open', 'closed']), until_ms: z.number() }).optional(),
  /** A reason that only a later version knows is none. */
  why: z.enum(TRIP_REASONS).optional().catch(undefined),
  opens: z.int().optional(),
  generation: z.int(),
  write_id: z.string(),
};
const breakerItem = z.discriminatedUnion('state', [
  z.object({ ...base, state: z.literal('closed'), failed_at_ms: z.array(z.number()) }),
  z.object({ ...base, state: z.literal('open'), retry_at_ms: z.number().optional() }),
  z.object({ ...base, state: z.literal('half_open'), probe_id: z.string(), probe_until_ms: z.number() }),
]);
type BreakerItem = z.infer<typeof breakerItem>;

/** The breakers of the replicas that share `client`'s table. */
export function createBreakerStore(client: StoreClient, clock: Clock, newId: NewId): BreakerStore {
  return {
    async read(name, signal) {
      return toShared(await client.get(breakerKey(name), signal));
    },
    async write(name, record, seen, signal) {
      const generation = (seen ?? 0) + 1;
      const writeId = newId();
      try {
        await client.put(
          {
            Item: {
              ...breakerKey(name),
              ...toItem(record, generation, writeId),
              ...ttlOf(record, clock.nowMs()),
            },
            ConditionExpression: seen === undefined ? IS_NEW : IS_UNCHANGED,
            ...(seen !== undefined && { ExpressionAttributeValues: { ':seen': seen } }),
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
          signal,
        );
        return { won: true, current: { record, generation } };
      } catch (error) {
        if (!(error instanceof ConditionFailedError)) throw error;
        // Our own write may have met us: its answer was lost, and it was sent again.
        return { won: error.item?.['write_id'] === writeId, current: toShared(error.item) };
      }
    },
  };
}

/** One that waits for an operator's hand waits for ever. */
function ttlOf(record: BreakerRecord, nowMs: number): { ttl?: number } {
  if (record.state === 'open' && record.retryAtMs === undefined) return {};
  return { ttl: Math.ceil(nowMs / 1000) + TTL_SECONDS };
}

function toItem(record: BreakerRecord, generation: number, writeId: string): BreakerItem {
  const { era, sinceMs, lastFailureAtMs, override, why, opens } = record;
  const common = {
    era,
    since_ms: sinceMs,
    ...(lastFailureAtMs !== undefined && { last_failure_at_ms: lastFailureAtMs }),
    ...(override !== undefined && { override: { state: override.state, until_ms: override.untilMs } }),
    ...(why !== undefined && { why }),
    ...(opens !== undefined && { opens }),
    generation,
    write_id: writeId,
  };
  switch (record.state) {
    case 'closed':
      return { ...common, state: record.state, failed_at_ms: record.failedAtMs };
    case 'open':
      return {
        ...common,
        state: record.state,
        ...(record.retryAtMs !== undefined && { retry_at_ms: record.retryAtMs }),
      };
    case 'half_open':
      return {
        ...common,
        state: record.state,
        probe_id: record.probeId,
        probe_until_ms: record.probeUntilMs,
      };
    default:
      return assertNever(record);
  }
}

function toShared(item: Item | undefined): SharedBreaker | undefined {
  if (item === undefined) return undefined;
  const row = breakerItem.parse(item);
  return { record: toRecord(row), generation: row.generation };
}

function toRecord(row: BreakerItem): BreakerRecord {
  const common = {
    era: row.era,
    sinceMs: row.since_ms,
    ...(row.last_failure_at_ms !== undefined && { lastFailureAtMs: row.last_failure_at_ms }),
    ...(row.override && { override: { state: row.override.state, untilMs: row.override.until_ms } }),
    ...(row.why !== undefined && { why: row.why }),
    ...(row.opens !== undefined && { opens: row.opens }),
  };
  switch (row.state) {
    case 'closed':
      return { ...common, state: row.state, failedAtMs: row.failed_at_ms };
    case 'open':
      return {
        ...common,
        state: row.state,
        ...(row.retry_at_ms !== undefined && { retryAtMs: row.retry_at_ms }),
      };
    case 'half_open':
      return { ...common, state: row.state, probeId: row.probe_id, probeUntilMs: row.probe_until_ms };
    default:
      return assertNever(row);
  }
}
