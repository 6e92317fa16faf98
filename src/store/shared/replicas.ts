import { z } from 'zod';
import type { Clock } from '../../clock.ts';
import type { StoreClient } from '../dynamo/client.ts';
import { REPLICAS_PK, replicaKey } from '../sandboxes/keys.ts';

/** A replica that has not been heard of for this long is gone. */
const GONE_AFTER_MS = 30_000;
const TTL_SECONDS = 3_600;

/** This replica's place among the living ones, which are numbered by their sorted ids. */
export interface Rank {
  index: number;
  replicas: number;
}

/** The register of living replicas: it spreads them over the buckets, nothing depends on it being right. */
export interface ReplicaRegister {
  readonly replicaId: string;
  /** The last known place; alone until the first beat. */
  rank(): Rank;
  /** Ids of the replicas seen by the last beat, this one included. */
  living(): readonly string[];
  /** How many replicas have gone since this one began to look, in whatever way. */
  departures(): number;
  /** Whether one of them is of a version that knows of no line: it frees for anybody. */
  hasOlder(): boolean;
  /** Says that this replica lives, and looks who else does. */
  beat(signal: AbortSignal): Promise<void>;
  /** Takes this replica off the register. */
  leave(signal?: AbortSignal): Promise<void>;
}

const replicaItem = z.object({ sk: z.string(), beat_at_ms: z.int(), has_line: z.boolean().optional() });

/** The register of the replicas that share `client`'s table. */
export function createReplicaRegister(client: StoreClient, replicaId: string, clock: Clock): ReplicaRegister {
  let living: readonly string[] = [replicaId];
  let hasOlder = false;
  let departures = 0;
  return {
    replicaId,
    rank: () => ({ index: living.indexOf(replicaId), replicas: living.length }),
    living: () => living,
    departures: () => departures,
    hasOlder: () => hasOlder,
    async beat(signal) {
      const nowMs = clock.nowMs();
      const ttl = Math.ceil(nowMs / 1000) + TTL_SECONDS;
      const item = { ...replicaKey(replicaId), beat_at_ms: nowMs, has_line: true, ttl };
      await client.put({ Item: item }, signal);
      const { items } = await client.query(
        {
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': REPLICAS_PK },
          ConsistentRead: false,
        },
        signal,
      );
      const others = items
        .map((item) => replicaItem.parse(item))
        .filter((item) => item.sk !== replicaId && nowMs - item.beat_at_ms < GONE_AFTER_MS);
      const before = living;
      living = [...others.map((item) => item.sk), replicaId].sort();
      departures += before.filter((each) => !living.includes(each)).length;
      hasOlder = others.some((item) => item.has_line !== true);
    },
    async leave(signal) {
      await client.delete({ Key: replicaKey(replicaId) }, signal);
    },
  };
}
